// Package packaging reads the files of deploy/ as the programs do that they are for.
package packaging

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestComposeFile(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../../deploy/compose.yaml"}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	host, err := project.GetService("millstream")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(host.Build.Context, host.Build.Dockerfile)); err != nil {
		t.Errorf("the image is built from a file that is not there: %v", err)
	}
	for _, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s beyond loopback", service.Name, port.Published)
			}
		}
	}
}

// Each document of a file, by its kind.
func documents(t *testing.T, file string) map[string][][]byte {
	t.Helper()
	found := map[string][][]byte{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(read(t, "deploy", "kubernetes", file))))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal(document, &head); err != nil {
			t.Fatal(err)
		}
		found[head.APIVersion+" "+head.Kind] = append(found[head.APIVersion+" "+head.Kind], document)
	}
}

func strict[T any](t *testing.T, document []byte) T {
	t.Helper()
	var object T
	// Keys that the type does not have are errors.
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	return object
}

func TestKubernetes(t *testing.T) {
	found := documents(t, "millstream.yaml")
	known := 0
	for _, document := range found["v1 ConfigMap"] {
		strict[core.ConfigMap](t, document)
		known++
	}
	for _, document := range found["v1 Service"] {
		service := strict[core.Service](t, document)
		if service.Spec.Ports[0].TargetPort.StrVal != "http" {
			t.Errorf("service %s leads to no port of the host", service.Name)
		}
		known++
	}
	set := strict[apps.StatefulSet](t, found["apps/v1 StatefulSet"][0])
	known++
	all := 0
	for _, documents := range found {
		all += len(documents)
	}
	if all != known {
		t.Errorf("%d of %d documents were checked", known, all)
	}
	pod := set.Spec.Template
	for key, value := range set.Spec.Selector.MatchLabels {
		if pod.Labels[key] != value {
			t.Errorf("the set does not find its own pods by %s", key)
		}
	}
	volumes := map[string]bool{}
	for _, volume := range pod.Spec.Volumes {
		volumes[volume.Name] = true
	}
	for _, claim := range set.Spec.VolumeClaimTemplates {
		volumes[claim.Name] = true
	}
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		if !volumes[mount.Name] {
			t.Errorf("volume %s is mounted and not declared", mount.Name)
		}
	}
}

func TestKeda(t *testing.T) {
	found := documents(t, "scaledobject.yaml")["keda.sh/v1alpha1 ScaledObject"]
	if len(found) != 1 {
		t.Fatalf("%d objects", len(found))
	}
	object := strict[keda.ScaledObject](t, found[0])
	set := strict[apps.StatefulSet](t, documents(t, "millstream.yaml")["apps/v1 StatefulSet"][0])
	target := object.Spec.ScaleTargetRef
	if target.Kind != set.Kind || target.Name != set.Name || target.APIVersion != set.APIVersion {
		t.Errorf("%+v is not the set of hosts", target)
	}
	group := object.Spec.Triggers[0].Metadata["consumerGroup"]
	if !strings.HasPrefix(group, "millstream.") {
		t.Errorf("%s is no group of a function", group)
	}
}

// The names of the figures that a host has, as the handbook lists them.
func figures(t *testing.T) map[string]bool {
	known := map[string]bool{"up": true}
	for _, found := range regexp.MustCompile("`(millstream_[a-z_]+)`").FindAllStringSubmatch(string(read(t, "docs", "operations.md")), -1) {
		known[found[1]] = true
		if strings.HasSuffix(found[1], "_seconds") {
			known[found[1]+"_bucket"] = true
		}
	}
	return known
}

func check(t *testing.T, expression string, known map[string]bool) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", expression, err)
		return
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, is := node.(*parser.VectorSelector)
		if !is {
			return nil
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name == labels.MetricName && !known[matcher.Value] {
				t.Errorf("%s: no host has %s", expression, matcher.Value)
			}
		}
		return nil
	})
}

func TestPrometheusRules(t *testing.T) {
	groups, failures := rulefmt.Parse(read(t, "deploy", "prometheus", "alerts.yaml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), nil)
	for _, err := range failures {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 {
		t.Fatal("no rules")
	}
	known := figures(t)
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			check(t, rule.Expr, known)
		}
	}
}

func TestGrafanaDashboard(t *testing.T) {
	var dashboard struct {
		Title         string `json:"title"`
		SchemaVersion int    `json:"schemaVersion"`
		Panels        []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(read(t, "deploy", "grafana", "millstream.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 8 || dashboard.SchemaVersion == 0 {
		t.Fatalf("%d panels", len(dashboard.Panels))
	}
	known := figures(t)
	taken := map[[2]int]string{}
	// What Grafana puts in before it asks Prometheus.
	variables := strings.NewReplacer("$__rate_interval", "5m", "$function", ".*")
	for _, panel := range dashboard.Panels {
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("%s lies on %s", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			check(t, variables.Replace(target.Expr), known)
		}
	}
}

func TestSystemdUnit(t *testing.T) {
	unit := string(read(t, "deploy", "systemd", "millstream.service"))
	for _, needed := range []string{"ExecStart=/usr/local/bin/millstream serve", "KillMode=mixed", "TimeoutStopSec=45", "LimitNOFILE="} {
		if !strings.Contains(unit, needed) {
			t.Errorf("the unit lacks %s", needed)
		}
	}
	// Sandboxes reserve addresses, and compiled code is mapped as code.
	for _, harmful := range []string{"\nLimitAS=", "\nMemoryDenyWriteExecute=yes"} {
		if strings.Contains(unit, harmful) {
			t.Errorf("a host does not start with %s", strings.TrimSpace(harmful))
		}
	}
}
