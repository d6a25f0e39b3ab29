// Command dashboards reads dashboards of Grafana with the types that Grafana publishes of itself (grafana-foundation-sdk), strictly: a field that
// Grafana does not know, one that it requires and that is missing, a value of another type, and a type of panel that is not listed here are
// errors. It starts no Grafana.
//
// usage: dashboards FILE...
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statushistory"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// Without an entry here, the options of a panel would be read as any JSON.
var panels = map[string]bool{"bargauge": true, "stat": true, "status-history": true, "text": true, "timeseries": true}

var unitsInUse = map[string]bool{units.NoUnit: true, units.Seconds: true, units.BytesIEC: true, units.PercentUnit: true}

func main() {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(bargauge.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(statushistory.VariantConfig())
	runtime.RegisterPanelcfgVariant(text.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	wrong, read := 0, 0
	for _, file := range os.Args[1:] {
		found, problems := check(file)
		read += found
		for _, problem := range problems {
			wrong++
			fmt.Fprintf(os.Stderr, "%s: %s\n", file, problem)
		}
	}
	if wrong > 0 || read == 0 {
		fmt.Fprintf(os.Stderr, "dashboards: %d problems in %d panels\n", wrong, read)
		os.Exit(1)
	}
	fmt.Printf("dashboards: %d panels are as Grafana's types have them\n", read)
}

// problemsOf returns what a strict reading found: it returns no nil where nothing was found, but an empty list.
func problemsOf(err error) (problems []string) {
	var found cog.BuildErrors
	if errors.As(err, &found) {
		for _, one := range found {
			problems = append(problems, one.Error())
		}
		return problems
	}
	return []string{err.Error()}
}

// check returns how many panels a file has, and what is wrong with it.
func check(file string) (int, []string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, []string{err.Error()}
	}
	var strict, read dashboard.Dashboard
	problems := problemsOf(strict.UnmarshalJSONStrict(raw))
	if err := json.Unmarshal(raw, &read); err != nil {
		return 0, append(problems, err.Error())
	}
	if err := read.Validate(); err != nil {
		problems = append(problems, problemsOf(err)...)
	}
	for n, one := range read.Panels {
		if one.Panel == nil {
			problems = append(problems, fmt.Sprintf("panel %d is a row", n))
			continue
		}
		problems = append(problems, checkPanel(one.Panel)...)
	}
	return len(read.Panels), append(problems, checkDefaults(raw)...)
}

// checkDefaults reads the defaults of the fields of each panel strictly, which the reading of a panel does not.
func checkDefaults(raw []byte) (problems []string) {
	var all struct {
		Panels []struct {
			Title       string
			FieldConfig json.RawMessage `json:"fieldConfig"`
		}
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return []string{err.Error()}
	}
	for _, panel := range all.Panels {
		if panel.FieldConfig == nil {
			continue
		}
		var source dashboard.FieldConfigSource
		for _, problem := range problemsOf(source.UnmarshalJSONStrict(panel.FieldConfig)) {
			problems = append(problems, panel.Title+": "+problem)
		}
	}
	return problems
}

func checkPanel(panel *dashboard.Panel) (problems []string) {
	title := "a panel without title"
	if panel.Title != nil {
		title = *panel.Title
	}
	say := func(format string, args ...any) { problems = append(problems, title+": "+fmt.Sprintf(format, args...)) }
	if !panels[panel.Type] {
		say("panels of type %s are not known here", panel.Type)
	}
	for _, target := range panel.Targets {
		switch target.(type) {
		case prometheus.Dataquery, *prometheus.Dataquery:
		default:
			say("a query is a %T, not one of Prometheus", target)
		}
	}
	if panel.FieldConfig != nil {
		if unit := panel.FieldConfig.Defaults.Unit; unit == nil || !unitsInUse[*unit] {
			say("its unit is none of those that are known here")
		}
	}
	return problems
}
