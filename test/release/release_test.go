// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package release runs "make release" and looks at what comes out: what people
// would download, and what Krew would read.
package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// host is where the test runs.
const host = runtime.GOOS + "/" + runtime.GOARCH

// command is one that runs at the root of the repository.
func command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), "MAKEFLAGS=")
	return c
}

// makeRelease runs make release, and returns what is in its folder then.
func makeRelease(t *testing.T, args ...string) map[string]string {
	t.Helper()
	dist := filepath.Join(t.TempDir(), "dist")
	c := command("make", append([]string{"release", "DIST=" + dist}, args...)...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dist, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dist, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// packed is one file of an archive.
type packed struct {
	name string
	mode fs.FileMode
	when time.Time
	text string
}

// unpack reads an archive of either kind.
func unpack(t *testing.T, name, text string) []packed {
	t.Helper()
	var files []packed
	read := func(name string, info fs.FileInfo, r io.Reader) {
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, packed{name, info.Mode(), info.ModTime(), string(content)})
	}
	if path.Ext(name) == ".zip" {
		archive, err := zip.NewReader(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.File {
			r, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			read(file.Name, file.FileInfo(), r)
		}
		return files
	}
	compressed, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname+header.Gname != "" {
			t.Errorf("%s: %s is %s's, of %s", name, header.Name, header.Uname, header.Gname)
		}
		read(header.Name, header.FileInfo(), archive)
	}
}

// The whole release, as it would be published.
func TestRelease(t *testing.T) {
	const version = "v1.2.3-rc.1"
	files := makeRelease(t, "VERSION="+version)
	systems := []string{"linux", "darwin", "windows"}
	machines := []string{"amd64", "arm64"}

	// 1. Its files, and their sums.
	want := []string{"SHA256SUMS", "oidc-login.yaml"}
	for _, command := range []string{"kubectl-oidc_login", "tegata"} {
		for _, system := range systems {
			for _, machine := range machines {
				end := map[bool]string{true: ".zip", false: ".tar.gz"}[system == "windows"]
				want = append(want, strings.Join([]string{command, version, system, machine}, "_")+end)
			}
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	var sums strings.Builder
	for _, name := range want {
		if name != "SHA256SUMS" {
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(files[name])), name)
		}
	}
	if diff := cmp.Diff(sums.String(), files["SHA256SUMS"]); diff != "" {
		t.Errorf("SHA256SUMS (-want +got):\n%s", diff)
	}

	// 2. What is in the archives.
	out, err := command("git", "log", "-1", "--format=%cI").Output()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := time.Parse(time.RFC3339, strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(name, ".zip"), ".tar.gz"), "_"+version+"_")
		if len(parts) != 2 {
			continue
		}
		command, platform := parts[0], strings.Replace(parts[1], "_", "/", 1)
		inside := map[string]packed{}
		var names []string
		for _, file := range unpack(t, name, text) {
			if file.when.Unix()/2 != committed.Unix()/2 { // zip counts two seconds
				t.Errorf("%s: %s is of %s, the commit of %s", name, file.name, file.when, committed)
			}
			inside[file.name] = file
			names = append(names, file.name)
		}
		program := command
		expected := []string{command, "LICENSE", "README.md", "THIRD-PARTY-LICENSES", "man/" + command + ".1"}
		if strings.HasPrefix(platform, "windows/") {
			program += ".exe"
			expected = []string{program, "LICENSE", "README.md", "THIRD-PARTY-LICENSES"}
		}
		if diff := cmp.Diff(expected, names); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", name, diff)
		}
		if mode := inside[program].mode; mode != 0o755 {
			t.Errorf("%s: the program has the mode %s", name, mode)
		}
		if !strings.Contains(inside["LICENSE"].text, "Apache License") {
			t.Errorf("%s: the license is another one", name)
		}
		for _, owner := range []string{"Go go1.", "github.com/spf13/pflag v1.", "golang.org/x/sys v0."} {
			if !strings.Contains(inside["THIRD-PARTY-LICENSES"].text, "\n"+owner) {
				t.Errorf("%s: the license of %q is missing", name, owner)
			}
		}
		magic := map[string]string{"linux": "\x7fELF", "darwin": "\xcf\xfa\xed\xfe", "windows": "MZ"}[path.Dir(platform)]
		if !strings.HasPrefix(inside[program].text, magic) {
			t.Errorf("%s: the program is for another system", name)
		}
		if platform == host {
			runs(t, inside[program], version)
		}
		if page, ok := inside["man/"+command+".1"]; ok {
			checkManual(t, command, version, page.text)
		}
	}

	// 3. What Krew would read.
	checkManifest(t, version, files)
}

// runs starts a program, which says its version.
func runs(t *testing.T, program packed, version string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), program.name)
	if err := os.WriteFile(file, []byte(program.text), program.mode); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(file, "version").Output()
	if err != nil || !strings.Contains(string(out), " "+version+" ") {
		t.Errorf("%s version: %q, %v, want %s in it", program.name, out, err, version)
	}
}

// checkManual refuses what a formatter would take for a macro that it does not
// know, and what is left of Markdown.
func checkManual(t *testing.T, command, version, text string) {
	t.Helper()
	macro := regexp.MustCompile(`^\.(TH|SH|SS|PP|nf|fi|RS 4|RE|TP|IP)( |$)`)
	literal := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == ".nf":
			literal++
		case line == ".fi":
			literal--
		}
		known := strings.HasPrefix(line, ".") && macro.MatchString(line)
		if strings.HasPrefix(line, ".") && !known || strings.HasPrefix(line, "'") || literal == 0 && !known && strings.ContainsAny(line, "`|") {
			t.Errorf("%s.1 has the line %q", command, line)
		}
	}
	head := fmt.Sprintf(".TH %s 1 ", strings.ToUpper(command))
	if !strings.HasPrefix(text, head) || !strings.Contains(text, " "+version+" Tegata\n") || literal != 0 || !strings.Contains(text, "\n.SH EXIT CODES\n") && !strings.Contains(text, "Exit codes:") {
		t.Errorf("%s.1 lacks a part, or does not close one:\n%.300s", command, text)
	}
}

// krewPlugin is the form of a manifest, as Krew reads it:
// krew.googlecontainertools.github.com/v1alpha2.
type krewPlugin struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Version          string         `yaml:"version"`
		Homepage         string         `yaml:"homepage"`
		ShortDescription string         `yaml:"shortDescription"`
		Description      string         `yaml:"description"`
		Caveats          string         `yaml:"caveats"`
		Platforms        []krewPlatform `yaml:"platforms"`
	} `yaml:"spec"`
}

type krewPlatform struct {
	Selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	} `yaml:"selector"`
	URI    string `yaml:"uri"`
	SHA256 string `yaml:"sha256"`
	Bin    string `yaml:"bin"`
	Files  []struct {
		From string `yaml:"from"`
		To   string `yaml:"to"`
	} `yaml:"files"`
}

// checkManifest applies the rules of Krew to the manifest.
func checkManifest(t *testing.T, version string, files map[string]string) {
	t.Helper()
	var plugin krewPlugin
	if err := yaml.UnmarshalWithOptions([]byte(files["oidc-login.yaml"]), &plugin, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	spec := plugin.Spec
	if plugin.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || plugin.Kind != "Plugin" || plugin.Metadata.Name != "oidc-login" {
		t.Errorf("it is %s, %s, %s", plugin.APIVersion, plugin.Kind, plugin.Metadata.Name)
	}
	if spec.Version != version || !strings.HasPrefix(spec.Homepage, "https://") || spec.Description == "" {
		t.Errorf("got the version %q, the homepage %q and the description %q", spec.Version, spec.Homepage, spec.Description)
	}
	if n := len(spec.ShortDescription); n == 0 || n > 50 || strings.ContainsAny(spec.ShortDescription, "\r\n") {
		t.Errorf("the short description %q is not short, or not one line", spec.ShortDescription)
	}
	seen := map[string]bool{}
	for _, p := range spec.Platforms {
		system, machine := p.Selector.MatchLabels["os"], p.Selector.MatchLabels["arch"]
		if len(p.Selector.MatchLabels) != 2 || seen[system+"/"+machine] {
			t.Errorf("the selector %v is not for one platform, or there twice", p.Selector.MatchLabels)
		}
		seen[system+"/"+machine] = true
		name := path.Base(p.URI)
		text, ok := files[name]
		if !ok || !strings.HasPrefix(p.URI, "https://") || !strings.Contains(name, "_"+system+"_"+machine+".") || !strings.HasSuffix(path.Dir(p.URI), "/"+version) {
			t.Errorf("%s/%s: there is no %s", system, machine, p.URI)
			continue
		}
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); got != p.SHA256 {
			t.Errorf("%s: got the sum %s, want %s", name, p.SHA256, got)
		}
		inside := map[string]bool{}
		for _, file := range unpack(t, name, text) {
			inside[file.name] = true
		}
		installed := map[string]bool{}
		for _, file := range p.Files {
			if !inside[file.From] || file.To != "." {
				t.Errorf("%s: %+v is not in the archive, or goes elsewhere", name, file)
			}
			installed[path.Join(file.To, file.From)] = true
		}
		if !installed[p.Bin] {
			t.Errorf("%s: the program %s is not installed", name, p.Bin)
		}
	}
	if len(seen) != 6 {
		t.Errorf("got the platforms %v, want six", seen)
	}
}

// The same commit makes the same bytes, in whichever folder, with whatever is
// set in the shell.
func TestReleaseIsTheSameTwice(t *testing.T) {
	first := makeRelease(t, "PLATFORMS="+host)
	t.Setenv("GOFLAGS", "-buildvcs=true")
	t.Setenv("GOAMD64", "v2")
	t.Setenv("TZ", "Asia/Tokyo")
	second := makeRelease(t, "PLATFORMS="+host)
	if len(first) != 4 || len(first) != len(second) {
		t.Fatalf("got %d and %d files, want 4", len(first), len(second))
	}
	for name, text := range first {
		if !bytes.Equal([]byte(text), []byte(second[name])) {
			t.Errorf("%s is not the same", name)
		}
	}
	for name := range first {
		if strings.HasPrefix(name, "tegata_") && !regexp.MustCompile(`^tegata_v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?_`).MatchString(name) {
			t.Errorf("%s has no version", name)
		}
	}
}

func TestReleaseWantsAVersion(t *testing.T) {
	for _, version := range []string{"1.2.3", "v1.2", "v01.2.3", "main", "v1.2.3 "} {
		c := command("go", "-C", "tools", "run", "./release", "-version", version, t.TempDir())
		out, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is no version such as v1.2.3") {
			t.Errorf("%q: got %v\n%s", version, err, out)
		}
	}
}

// The budget of the design. It is measured where the others are.
func TestPluginIsSmall(t *testing.T) {
	const budget = 8_000_000
	dir := t.TempDir()
	c := command("make", "--silent", "plugin", "OUT="+dir+"/")
	c.Env = append(c.Env, "GOOS=linux", "GOARCH=amd64")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
	info, err := os.Stat(filepath.Join(dir, "kubectl-oidc_login"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the plugin has %d bytes", info.Size())
	if info.Size() > budget {
		t.Errorf("the plugin has %d bytes, at most %d are allowed; `go tool nm -size -sort size` of a build without -s -w shows what takes them", info.Size(), budget)
	}
}
