package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type healthTests struct {
	Tests []struct {
		HealthStatus health `json:"healthStatus"`
		InputPath    string `json:"inputPath"`
	} `json:"tests"`
}

type actionTests struct {
	DiscoveryTests []struct {
		InputPath string `json:"inputPath"`
		Result    []struct {
			Name     string `json:"name"`
			Disabled bool   `json:"disabled"`
		} `json:"result"`
	} `json:"discoveryTests"`
	ActionTests []struct {
		Action             string `json:"action"`
		InputPath          string `json:"inputPath"`
		ExpectedOutputPath string `json:"expectedOutputPath"`
	} `json:"actionTests"`
}

// What Argo CD knows; anything else becomes Unknown there.
var healths = []string{"Healthy", "Progressing", "Degraded", "Suspended"}

// testHealth runs health.lua of a kind over its test data. Every file of testdata/ must be in health_test.yaml.
func testHealth(t *tally, kind string) {
	dir := filepath.Join(customizations, kind)
	script, err := os.ReadFile(filepath.Join(dir, "health.lua"))
	if err != nil {
		t.check(kind, err)
		return
	}
	var tests healthTests
	if err := readYAML(filepath.Join(dir, "health_test.yaml"), &tests); err != nil {
		t.check(kind, err)
		return
	}
	var named []string
	for _, test := range tests.Tests {
		named = append(named, filepath.Join(dir, test.InputPath))
		t.check("argocd health "+kind+"/"+test.InputPath, healthIs(string(script), filepath.Join(dir, test.InputPath), test.HealthStatus))
	}
	t.check("argocd health "+kind+": every file of testdata/ has a test", sameFiles(named, filepath.Join(dir, "testdata", "*.yaml")))
}

func healthIs(script, input string, expected health) error {
	obj, err := readObject(input)
	if err != nil {
		return err
	}
	result, err := runLua(script, obj)
	if err != nil {
		return err
	}
	table, ok := result.(map[string]any)
	if !ok {
		return fmt.Errorf("health.lua must return a table, not %v", result)
	}
	found := health{}
	found.Status, _ = table["status"].(string)
	found.Message, _ = table["message"].(string)
	if !slices.Contains(healths, found.Status) {
		return fmt.Errorf("Argo CD does not know the status %q", found.Status)
	}
	if found != expected {
		return fmt.Errorf("expected %q %q, found %q %q", expected.Status, expected.Message, found.Status, found.Message)
	}
	return nil
}

// testActions runs the actions of a kind, if it has any.
func testActions(t *tally, kind string) {
	dir := filepath.Join(customizations, kind, "actions")
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return
	}
	var tests actionTests
	if err := readYAML(filepath.Join(dir, "action_test.yaml"), &tests); err != nil {
		t.check(kind, err)
		return
	}
	discovery, err := os.ReadFile(filepath.Join(dir, "discovery.lua"))
	t.check("argocd discovery "+kind, err)
	for _, test := range tests.DiscoveryTests {
		expected := map[string]bool{}
		for _, action := range test.Result {
			expected[action.Name] = action.Disabled
		}
		t.check("argocd discovery "+kind+"/"+test.InputPath, discovers(string(discovery), filepath.Join(dir, test.InputPath), expected))
	}
	tested := map[string]bool{}
	for _, test := range tests.ActionTests {
		tested[test.Action] = true
		script, err := os.ReadFile(filepath.Join(dir, test.Action, "action.lua"))
		if err == nil {
			err = acts(string(script), filepath.Join(dir, test.InputPath), filepath.Join(dir, test.ExpectedOutputPath))
		}
		t.check("argocd action "+kind+"/"+test.Action+"/"+test.InputPath, err)
	}
	scripts, _ := filepath.Glob(filepath.Join(dir, "*", "action.lua"))
	for _, script := range scripts {
		if name := filepath.Base(filepath.Dir(script)); !tested[name] {
			t.check("argocd action "+kind+"/"+name, fmt.Errorf("action_test.yaml has no test for it"))
		}
	}
}

func discovers(script, input string, expected map[string]bool) error {
	obj, err := readObject(input)
	if err != nil {
		return err
	}
	result, err := runLua(script, obj)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	table, _ := result.(map[string]any)
	for name, how := range table {
		settings, _ := how.(map[string]any)
		found[name], _ = settings["disabled"].(bool)
	}
	if !maps.Equal(found, expected) {
		return fmt.Errorf("expected disabled: %v, found %v", expected, found)
	}
	return nil
}

// acts compares what an action returns: an object that Argo CD patches, or a list of {operation, resource}.
func acts(script, input, output string) error {
	obj, err := readObject(input)
	if err != nil {
		return err
	}
	before, _ := readObject(input)
	result, err := runLua(script, obj)
	if err != nil {
		return err
	}
	var expected any
	if err := readYAML(output, &expected); err != nil {
		return err
	}
	found := result
	if _, isObject := result.(map[string]any); isObject {
		found = restored(result, before)
	}
	if !reflect.DeepEqual(found, whole(expected)) {
		return fmt.Errorf("expected %v, found %v", expected, found)
	}
	return nil
}
