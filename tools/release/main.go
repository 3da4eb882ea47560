// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command release packs what "make release" has built: an archive for each
// command and platform, their checksums, and the manifest by which Krew would
// install the plugin. It publishes nothing, and needs nothing but Go.
//
//	main.go      what goes where
//	archive.go   tar.gz and zip, the same bytes each time
//	krew.go      the manifest
//	manual.go    manual pages, of the reference in docs
//	notices.go   the licenses of what a program is linked with
//
// It takes the folder in which it finds build/OS/ARCH/COMMAND, and leaves
// there what a release consists of. It is for the Makefile and for the test of
// it, test/release.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// repository is where the release lies once somebody has published it.
const repository = "https://github.com/tegata/tegata"

// summaries are the commands and what their manual pages say first.
var summaries = map[string]string{
	"kubectl-oidc_login": "credential plugin of kubectl for OpenID Connect",
	"tegata":             "OpenID Provider for Kubernetes, and its administration",
}

func main() {
	version := flag.String("version", "", "the release, such as v1.2.3")
	seconds := flag.Int64("time", 0, "when it was made, in seconds since 1970: the time of the commit")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "error: release wants the folder of the build, and got", flag.Args())
		os.Exit(2)
	}
	r := release{version: *version, when: time.Unix(*seconds, 0).UTC(), source: "..", dir: flag.Arg(0)}
	if err := r.pack(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// release is one release on its way.
type release struct {
	version string
	when    time.Time
	source  string // the root of the repository
	dir     string // where the build is, and where the result goes
}

// archive is one file that people download.
type archive struct {
	name    string
	command string
	system  string // as in GOOS
	machine string // as in GOARCH
	sum     string // SHA-256
}

// program is the name of the command in the archive.
func (a archive) program() string {
	if a.system == "windows" {
		return a.command + ".exe"
	}
	return a.command
}

// semantic is a version as Krew and Go have it.
var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func (r release) pack() error {
	if !semantic.MatchString(r.version) {
		return fmt.Errorf("%q is no version such as v1.2.3", r.version)
	}
	// 1. An archive for each program that was built.
	built, err := filepath.Glob(filepath.Join(r.dir, "build", "*", "*", "*"))
	if err != nil {
		return err
	}
	if len(built) == 0 {
		return errors.New("there is nothing in " + filepath.Join(r.dir, "build"))
	}
	var archives []archive
	for _, path := range built { // in the order of their names
		a, err := r.archive(path)
		if err != nil {
			return fmt.Errorf("packing %s: %w", path, err)
		}
		archives = append(archives, a)
	}

	// 2. The manifest, which names the sums, and then the sums of all.
	files := []string{manifestName}
	if err := os.WriteFile(filepath.Join(r.dir, manifestName), []byte(r.manifest(archives)), 0o644); err != nil {
		return err
	}
	for _, a := range archives {
		files = append(files, a.name)
	}
	slices.Sort(files)
	var sums strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(text), name)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "SHA256SUMS"), []byte(sums.String()), 0o644); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(r.dir, "build"))
}

// archive packs one program, which lies at build/OS/ARCH/COMMAND.
func (r release) archive(path string) (archive, error) {
	machine := filepath.Dir(path)
	a := archive{
		command: strings.TrimSuffix(filepath.Base(path), ".exe"),
		system:  filepath.Base(filepath.Dir(machine)),
		machine: filepath.Base(machine),
	}
	summary, ok := summaries[a.command]
	if !ok {
		return archive{}, errors.New("nobody said what this command is")
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return archive{}, err
	}
	files := []file{{a.program(), 0o755, program}}
	for _, name := range []string{"LICENSE", "README.md"} {
		text, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return archive{}, err
		}
		files = append(files, file{name, 0o644, text})
	}
	notices, err := r.notices(path)
	if err != nil {
		return archive{}, err
	}
	files = append(files, file{"THIRD-PARTY-LICENSES", 0o644, notices})
	if a.system != "windows" {
		reference, err := os.ReadFile(filepath.Join(r.source, "docs", "reference", a.command+".md"))
		if err != nil {
			return archive{}, err
		}
		page := manual(a.command, summary, r.version, r.when, string(reference))
		files = append(files, file{"man/" + a.command + ".1", 0o644, []byte(page)})
	}

	write, end := tarball, ".tar.gz"
	if a.system == "windows" {
		write, end = zipball, ".zip"
	}
	text, err := write(files, r.when)
	if err != nil {
		return archive{}, err
	}
	a.name = strings.Join([]string{a.command, r.version, a.system, a.machine}, "_") + end
	a.sum = fmt.Sprintf("%x", sha256.Sum256(text))
	return a, os.WriteFile(filepath.Join(r.dir, a.name), text, 0o644)
}
