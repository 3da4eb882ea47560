// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	// progressInterval is the pause between two lines that say only that a build
	// is still going on.
	progressInterval = 15 * time.Second

	// interruptTimeout is how long an interrupted build may take to tidy up.
	interruptTimeout = 10 * time.Second

	// unusedAge is how long a build is kept that nobody has asked for.
	unusedAge = 30 * 24 * time.Hour
)

// Binaries are the paths of the programs of a control plane.
type Binaries struct {
	Etcd      string
	APIServer string
	Kubectl   string
}

// programs are the folders of the programs' main packages, in the order of the
// fields of [Binaries].
func programs() []string {
	return []string{"etcd", "kube-apiserver", "kubectl"}
}

// Build builds etcd, kube-apiserver and kubectl from the module in
// test/controlplane, or finds what was built before from the same source with
// the same Go. The first time takes about five minutes of processor time and
// downloads the modules; w (which may be nil) gets plain lines that say how far
// it is.
//
// The programs are kept in the folder tegata/controlplane of the user's cache.
// Of several processes that need the same build one makes it and the others
// wait for the result, until their ctx ends.
func Build(ctx context.Context, w io.Writer) (Binaries, error) {
	source, err := sourceFolder()
	if err != nil {
		return Binaries{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Binaries{}, fmt.Errorf("looking for a folder to keep the control plane in: %w", err)
	}
	return build(ctx, w, source, filepath.Join(cache, "tegata", "controlplane"))
}

// build builds the programs in source and keeps them in cache.
func build(ctx context.Context, w io.Writer, source, cache string) (Binaries, error) {
	// 1. What is to be built, and whether it is there.
	version, err := kubernetesVersion(source)
	if err != nil {
		return Binaries{}, err
	}
	args := buildArgs(version)
	sum, err := fingerprint(source, args)
	if err != nil {
		return Binaries{}, err
	}
	dir := filepath.Join(cache, version+"-"+sum)
	if b, ok := find(dir); ok {
		return b, nil
	}

	// 2. One process builds.
	log := newProgress(w)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return Binaries{}, fmt.Errorf("making the folder for the control plane: %w", err)
	}
	lock := flock.New(filepath.Join(cache, "lock"))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		log.printf("another process builds a control plane, waiting for it")
		_, err = lock.TryLockContext(ctx, 10*pollInterval)
	}
	if err != nil {
		return Binaries{}, fmt.Errorf("locking %s: %w", lock.Path(), err)
	}
	defer lock.Close()
	if b, ok := find(dir); ok {
		return b, nil
	}
	tidy(cache, dir)

	// 3. Into a temporary folder, which then gets its name: a folder with that
	// name is complete.
	temp, err := os.MkdirTemp(cache, tempPattern)
	if err != nil {
		return Binaries{}, fmt.Errorf("building the control plane: %w", err)
	}
	defer os.RemoveAll(temp)
	log.printf("building etcd, kube-apiserver and kubectl (Kubernetes %s); the first time takes some minutes", version)
	if err := goBuild(ctx, log, source, temp, args); err != nil {
		return Binaries{}, err
	}
	if err := os.Rename(filepath.Join(temp, "bin"), dir); err != nil {
		return Binaries{}, fmt.Errorf("building the control plane: %w", err)
	}
	b, ok := find(dir)
	if !ok {
		return Binaries{}, fmt.Errorf("building the control plane: the build left no programs in %s", dir)
	}
	log.printf("built after %s, kept in %s", log.elapsed(time.Second), dir)
	return b, nil
}

// tempPattern names the folders of builds that go on or were cut off.
const tempPattern = ".building-*"

// find returns the programs in a folder if they are all there, and marks them as
// used.
func find(dir string) (Binaries, bool) {
	var paths []string
	for _, name := range programs() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			return Binaries{}, false
		}
		paths = append(paths, path)
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // at worst it is built again one day
	return Binaries{Etcd: paths[0], APIServer: paths[1], Kubectl: paths[2]}, true
}

// tidy removes what is not wanted any more: builds that were cut off, what is
// left of the build that is about to be made, and builds that nobody has used
// for long. The caller holds the lock, so no build is going on.
func tidy(cache, dir string) {
	cut, _ := filepath.Glob(filepath.Join(cache, tempPattern)) // the pattern is good
	for _, path := range append(cut, dir) {
		_ = os.RemoveAll(path)
	}
	entries, _ := os.ReadDir(cache)
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && time.Since(info.ModTime()) > unusedAge {
			_ = os.RemoveAll(filepath.Join(cache, entry.Name()))
		}
	}
}

// sourceFolder finds test/controlplane from the place of this package in the
// repository: as the compiler recorded it, or, if that was trimmed, upwards from
// the working directory.
func sourceFolder() (string, error) {
	var start []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		start = append(start, filepath.Dir(file))
	}
	if dir, err := os.Getwd(); err == nil {
		start = append(start, dir)
	}
	for _, dir := range start {
		for {
			source := filepath.Join(dir, "test", "controlplane")
			mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
			if err == nil && strings.Contains(string(mod), "module github.com/tegata/tegata/test/controlplane\n") {
				return source, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", errors.New("cannot find the folder test/controlplane; run this inside a checkout of github.com/tegata/tegata")
}

// kubernetesVersion reads the version of Kubernetes from the module in source.
func kubernetesVersion(source string) (string, error) {
	file := filepath.Join(source, "go.mod")
	mod, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the version of Kubernetes: %w", err)
	}
	match := regexp.MustCompile(`(?m)^(?:require)?\s+k8s\.io/kubernetes (v\d+\.\d+\.\S+)`).FindSubmatch(mod)
	if match == nil {
		return "", fmt.Errorf("reading the version of Kubernetes: %s requires no k8s.io/kubernetes", file)
	}
	return string(match[1]), nil
}

// buildArgs are the arguments of go build, without the folder for the result and
// the packages. The version is what the programs say of themselves, and what
// they judge compatibility by.
func buildArgs(version string) []string {
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	ldflags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, variable := range []string{
			"gitVersion=" + version,
			"gitMajor=" + numbers[0],
			"gitMinor=" + numbers[1],
			"gitTreeState=clean",
			"gitCommit=", // a module does not know it
		} {
			ldflags = append(ldflags, "-X="+pkg+"."+variable)
		}
	}
	return []string{"-trimpath", "-buildvcs=false", "-ldflags=" + strings.Join(ldflags, " ")}
}

// fingerprint tells builds apart: it is a hash of everything that goes into one.
func fingerprint(source string, args []string) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version(), runtime.GOOS, runtime.GOARCH, args)
	err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if name := entry.Name(); name != "go.mod" && name != "go.sum" && filepath.Ext(name) != ".go" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, path)
		fmt.Fprintf(hash, "%s %d\n%s", filepath.ToSlash(relative), len(content), content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the source of the control plane: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// goBuild runs go build in source; the programs go to the folder bin in temp.
func goBuild(ctx context.Context, log *progress, source, temp string, args []string) error {
	args = append([]string{"build", "-o", filepath.Join(temp, "bin") + string(filepath.Separator)}, args...)
	for _, name := range programs() {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = source
	// A value of GOFLAGS here wins over one from "go env -w"; an empty one would
	// not. The rest makes it a build of this module alone, for this machine, whose
	// intermediate files go away with temp however it ends.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0",
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOTMPDIR="+temp)
	child, err := startProcess("go build", cmd, filepath.Join(temp, "log"))
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("building the control plane: %w; install Go or put it in PATH", err)
	}
	if err != nil {
		return fmt.Errorf("building the control plane: %w", err)
	}
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-child.gone.Done():
			if child.err != nil {
				return fmt.Errorf("building the control plane: go build: %w", child.withTail(child.err))
			}
			return nil
		case <-ctx.Done():
			interruptGroup(cmd) // the go command and the compilers it runs
			select {
			case <-child.gone.Done():
			case <-time.After(interruptTimeout):
				child.kill()
			}
			return fmt.Errorf("building the control plane: %w", context.Cause(ctx))
		case <-tick.C:
			log.printf("still building after %s", log.elapsed(time.Second))
		}
	}
}

// progress writes plain lines for a person who waits.
type progress struct {
	w     io.Writer // nil is quiet
	start time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, start: time.Now()}
}

func (p *progress) printf(format string, args ...any) {
	if p.w != nil {
		fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// elapsed is the time since the start, rounded.
func (p *progress) elapsed(to time.Duration) time.Duration {
	return time.Since(p.start).Round(to)
}
