// gitops tests the health checks and actions for Argo CD and Flux as these run them, and writes the ConfigMap that installs them.
//
//	gitops test            runs all tests; the last line is "N passed, N failed"
//	gitops generate        writes gitops/argocd/argocd-cm.yaml from the Lua files
//	gitops generate --check  fails if that file differs
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

const (
	customizations = "gitops/argocd/resource_customizations/curfew.dev"
	flux           = "gitops/flux"
	crds           = "crds/*.curfew.dev.yaml"
)

type tally struct{ passed, failed int }

func (t *tally) check(name string, err error) {
	if err == nil {
		t.passed++
		return
	}
	t.failed++
	fmt.Printf("FAIL %s: %v\n", name, err)
}

func main() {
	var err error
	switch args := os.Args[1:]; {
	case slices.Equal(args, []string{"test"}):
		err = test()
	case slices.Equal(args, []string{"generate"}):
		err = generate(false)
	case slices.Equal(args, []string{"generate", "--check"}):
		err = generate(true)
	default:
		err = fmt.Errorf("usage: gitops test | generate [--check]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func test() error {
	t := &tally{}
	kinds, err := kinds()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		testHealth(t, kind)
		testActions(t, kind)
	}
	testFlux(t)
	t.check("argocd-cm.yaml is what the Lua files say", generate(true))
	fmt.Printf("%d passed, %d failed\n", t.passed, t.failed)
	if t.failed > 0 {
		return fmt.Errorf("%d tests failed", t.failed)
	}
	return nil
}

// A CRD, as far as it is of interest here.
type crd struct {
	Spec struct {
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []struct {
			Schema struct {
				OpenAPIV3Schema struct {
					Properties map[string]struct {
						Properties map[string]any `json:"properties"`
					} `json:"properties"`
				} `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

func readCRDs() ([]crd, error) {
	files, err := filepath.Glob(crds)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no CRDs at %s: run this in the root of the repository", crds)
	}
	var all []crd
	for _, file := range files {
		var one crd
		if err := readYAML(file, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// kinds gives the kinds of all CRDs: a kind without a health check fails its test.
func kinds() ([]string, error) {
	return kindsWith(func(crd) bool { return true })
}

// suspendable gives the kinds that have spec.suspend.
func suspendable() ([]string, error) {
	return kindsWith(func(one crd) bool {
		for _, version := range one.Spec.Versions {
			if _, found := version.Schema.OpenAPIV3Schema.Properties["spec"].Properties["suspend"]; found {
				return true
			}
		}
		return false
	})
}

func kindsWith(is func(crd) bool) ([]string, error) {
	all, err := readCRDs()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, one := range all {
		if is(one) {
			names = append(names, one.Spec.Names.Kind)
		}
	}
	slices.Sort(names)
	return names, nil
}

func readYAML(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// readObject reads an object with whole numbers as int64, as clients of Kubernetes do.
func readObject(file string) (map[string]any, error) {
	var object map[string]any
	if err := readYAML(file, &object); err != nil {
		return nil, err
	}
	return whole(object).(map[string]any), nil
}

func whole(value any) any {
	switch v := value.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	}
	return value
}

// sameFiles tells which files of a pattern are not among those that tests name.
func sameFiles(named []string, pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		if !slices.Contains(named, file) {
			return fmt.Errorf("no test names %s", file)
		}
	}
	return nil
}

func write(file string, content []byte, check bool) error {
	old, err := os.ReadFile(file)
	if err == nil && bytes.Equal(old, content) {
		return nil
	}
	if check {
		return fmt.Errorf("%s differs from what make gitops writes", file)
	}
	return os.WriteFile(file, content, 0o644)
}
