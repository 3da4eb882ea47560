// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tegata/tegata/test/directory"
)

// Each file of the how-to is good, and what it shows of the command is what
// the command printed in the script.
func TestTheHowToIsTrue(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/howto/log-in-with-ldap.md")
	files := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(page, -1)
	if len(files) != 3 {
		t.Fatalf("the page has %d files, want 3", len(files))
	}
	authority := read(t, directory.Start(t, "").CAFile)
	for _, file := range files {
		dir := t.TempDir()
		for name, text := range map[string]string{"tegata.yaml": file[1], "ldap.password": "a password", "ldap-ca.crt": authority} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := (&tegata{}).command("config", "check", filepath.Join(dir, "tegata.yaml")).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, file[1])
		}
	}
	script := read(t, "testdata/script/ldap-test.txtar")
	_, shown, _ := strings.Cut(page, "$ tegata ldap test alice\n")
	shown, _, _ = strings.Cut(shown, "```")
	for line := range strings.Lines(shown) {
		if !strings.Contains(script, line) && line != "…\n" && !strings.HasPrefix(line, "   groups:") { // the laboratory has more of them
			t.Errorf("the command does not print this: %s", line)
		}
	}
}
