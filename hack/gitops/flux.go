package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type expressions struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

type fluxTests struct {
	Tests []struct {
		InputPath string `json:"inputPath"`
		// What the expressions say; Unknown where Flux cannot evaluate them and keeps waiting.
		Flux string `json:"flux"`
		// What kstatus says without expressions, as `kubectl wait`-like tools and Flux without healthCheckExprs do.
		KStatus string `json:"kstatus"`
	} `json:"tests"`
}

// testFlux judges all test data by the health expressions and by kstatus itself. Every file must have a test.
func testFlux(t *tally) {
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []expressions `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := readYAML(filepath.Join(flux, "health-check-exprs.yaml"), &kustomization); err != nil {
		t.check("flux", err)
		return
	}
	of := map[string]expressions{}
	for _, e := range kustomization.Spec.HealthCheckExprs {
		of[e.Kind] = e
	}
	var tests fluxTests
	if err := readYAML(filepath.Join(flux, "health_test.yaml"), &tests); err != nil {
		t.check("flux", err)
		return
	}
	var named []string
	for _, test := range tests.Tests {
		input := filepath.Join(customizations, test.InputPath)
		named = append(named, input)
		obj, err := readObject(input)
		if err != nil {
			t.check(test.InputPath, err)
			continue
		}
		kind, _ := obj["kind"].(string)
		t.check("conditions "+test.InputPath, follows(kind, obj))
		t.check("flux "+test.InputPath, is(evaluate(of[kind], obj))(test.Flux))
		t.check("kstatus "+test.InputPath, is(kstatus(obj))(test.KStatus))
	}
	t.check("flux: every file of testdata/ has a test", sameFiles(named, filepath.Join(customizations, "*", "testdata", "*.yaml")))
}

func is(found string, err error) func(string) error {
	return func(expected string) error {
		if found != expected {
			return fmt.Errorf("expected %s, found %s (%v)", expected, found, err)
		}
		return nil
	}
}

// Objects that people create once. They have no Ready: waiting for people, and any outcome, is neither progress nor failure.
var once = []string{"ActivationRequest", "AssignmentRequest", "AccessDecision", "Grant"}

// follows tells what of a status is not as kstatus asks: which generation each judgement is about, and Ready only where it means one.
func follows(kind string, obj map[string]any) error {
	status, found := obj["status"].(map[string]any)
	if !found {
		return nil
	}
	if _, found := status["observedGeneration"].(int64); !found {
		return fmt.Errorf("status.observedGeneration is missing")
	}
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if _, found := condition["observedGeneration"].(int64); !found {
			return fmt.Errorf("condition %v has no observedGeneration", condition["type"])
		}
		if reason, _ := condition["reason"].(string); condition["type"] == "Ready" && !slices.Contains(reasons(), reason) {
			return fmt.Errorf("reason %s is not one of %s: the operator writes another one", reason, reasonsFile)
		}
		if slices.Contains(once, kind) && (condition["type"] == "Ready" || condition["type"] == "Reconciling") {
			return fmt.Errorf("a %s must not have the condition %v", kind, condition["type"])
		}
	}
	return nil
}

const reasonsFile = "crates/core/src/reason.rs"

// reasons gives the reasons that the operator knows, from its source.
var reasons = sync.OnceValue(func() []string {
	text, err := os.ReadFile(reasonsFile)
	if err != nil {
		return nil
	}
	var all []string
	for _, found := range regexp.MustCompile(`(?m)^    ([A-Z][A-Za-z]+),$`).FindAllSubmatch(text, -1) {
		all = append(all, string(found[1]))
	}
	return all
})

func kstatus(obj map[string]any) (string, error) {
	result, err := status.Compute(&unstructured.Unstructured{Object: obj})
	if err != nil {
		return "Unknown", err
	}
	return result.Status.String(), nil
}

// evaluate follows RFC 0009 of Flux: an old observedGeneration is InProgress; then inProgress, failed and current, in this order; and
// InProgress if none of them is true. The expressions are parsed and not type-checked, and see the fields of the object.
func evaluate(e expressions, obj map[string]any) (string, error) {
	if e.Current == "" {
		return "Unknown", fmt.Errorf("no expressions for this kind")
	}
	u := unstructured.Unstructured{Object: obj}
	observed, found, err := unstructured.NestedInt64(obj, "status", "observedGeneration")
	if err != nil {
		return "Unknown", err
	}
	if found && observed != u.GetGeneration() {
		return "InProgress", nil
	}
	steps := []struct{ expression, status string }{{e.InProgress, "InProgress"}, {e.Failed, "Failed"}, {e.Current, "Current"}}
	for _, step := range steps {
		if step.expression == "" {
			continue
		}
		holds, err := holds(step.expression, obj)
		if err != nil {
			return "Unknown", err
		}
		if holds {
			return step.status, nil
		}
	}
	return "InProgress", nil
}

func holds(expression string, obj map[string]any) (bool, error) {
	env, err := cel.NewEnv(cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true), ext.Strings(ext.StringsVersion(2)))
	if err != nil {
		return false, err
	}
	ast, issues := env.Parse(expression)
	if issues != nil && issues.Err() != nil {
		return false, issues.Err()
	}
	program, err := env.Program(ast)
	if err != nil {
		return false, err
	}
	value, _, err := program.Eval(obj)
	if err != nil {
		return false, err
	}
	result, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("%s is not a bool", expression)
	}
	return result, nil
}
