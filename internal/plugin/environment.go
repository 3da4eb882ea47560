// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/tokencache"
)

// variablePrefix begins the name of each environment variable that sets a
// flag. The rest is the flag's name in capitals, with _ for each -.
const variablePrefix = "OIDC_LOGIN_"

// variable is the environment variable of a flag.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// typed is the command to type to do the same: with the variables that set
// flags, which a kubeconfig may give to the plugin alone, and without secrets.
func typed(env Env) string {
	var words []string
	if env.Environ != nil {
		for _, entry := range env.Environ() {
			name, value, _ := strings.Cut(entry, "=")
			switch {
			case !strings.HasPrefix(name, variablePrefix) || value == "":
			case private("--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, variablePrefix), "_", "-"))):
				words = append(words, name+"=…")
			default:
				words = append(words, name+"="+exit.Quote(value))
			}
		}
	}
	slices.Sort(words)
	return strings.Join(append(words, commandLine(env.Args)), " ")
}

// defineConfig declares the flag that names a configuration file.
func defineConfig(set *pflag.FlagSet, path *string) {
	set.StringVar(path, "config", "", "`file` with a line name=value for each flag to set")
}

// fill sets the flags that the command line does not have from the
// environment, and then those that are still not set from the file that
// --config names. Without any of this it costs one look at each variable.
func fill(env *Env, set *pflag.FlagSet) error {
	var variables []string
	if env.Environ != nil {
		for _, entry := range env.Environ() {
			if strings.HasPrefix(entry, variablePrefix) {
				variables = append(variables, entry)
			}
		}
	}
	config := set.Lookup("config")
	if variables == nil && (config == nil || config.Value.String() == "") {
		return nil
	}
	if help := set.Lookup("help"); help != nil && help.Changed {
		return nil // a mistake elsewhere must not hide the help
	}
	slices.Sort(variables)
	if err := fillFromVariables(set, variables); err != nil {
		return err
	}
	if config == nil || config.Value.String() == "" {
		return nil
	}
	return fillFromFile(set, tokencache.ExpandHome(config.Value.String(), env.Lookup))
}

// settable is the flag of that name. It is nil if it is another command's, or
// nobody's at all, which known tells. Only then are all flags of all commands
// looked at: a warm call with variables has no time for that.
func settable(set *pflag.FlagSet, name string) (flag *pflag.Flag, known bool) {
	if name == "help" {
		return nil, false
	}
	if flag := set.Lookup(name); flag != nil {
		return flag, true
	}
	if slices.Contains(logFlags[:], name) {
		defineLog(set)
		return set.Lookup(name), true
	}
	return nil, slices.Contains(settings(), name)
}

// settings are the flags of all commands that can be set without a command
// line. What belongs to another command is no mistake: one environment and
// one file serve them all.
func settings() []string {
	var names []string
	for _, c := range commands() {
		set := c.flags()
		defineLog(set)
		set.VisitAll(func(flag *pflag.Flag) {
			if flag.Name != "help" {
				names = append(names, flag.Name)
			}
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func fillFromVariables(set *pflag.FlagSet, variables []string) error {
	for _, entry := range variables {
		name, value, _ := strings.Cut(entry, "=")
		if value == "" {
			continue // counts as unset
		}
		word := strings.ToLower(strings.TrimPrefix(name, variablePrefix))
		flag, known := settable(set, strings.ReplaceAll(word, "_", "-"))
		if !known { // the log flags have underscores
			flag, known = settable(set, word)
		}
		if !known || flag != nil && variable(flag.Name) != name {
			var all []string
			for _, flag := range settings() {
				all = append(all, variable(flag))
			}
			return exit.Misuse(nearest(name, all, "", "each flag is a variable: --oidc-issuer-url is "+variable("oidc-issuer-url")), "the environment has %s, which is no flag", name)
		}
		if flag == nil || flag.Changed {
			continue
		}
		if err := set.Set(flag.Name, value); err != nil {
			return exit.Misuse("", "reading %s: %w", name, err)
		}
	}
	return nil
}

// secretFlags are those whose value nobody else may read.
func secretFlags() []string { return []string{"oidc-client-secret", "password"} }

func fillFromFile(set *pflag.FlagSet, path string) error {
	lines, private, err := readConfig(path)
	if err != nil {
		return exit.Misuse("", "reading --config: %w", err)
	}
	// What the command line and the environment set is set.
	given := map[string]bool{}
	set.Visit(func(flag *pflag.Flag) { given[flag.Name] = true })
	seen := map[string]bool{}
	for _, line := range lines {
		where := fmt.Sprintf("%s, line %d", path, line.number)
		flag, known := settable(set, line.name)
		if !known || line.name == "config" {
			return exit.Misuse(nearest(line.name, settings(), "", "kubectl-oidc_login get-token --help shows the flags; here they have no dashes in front"), "%s: there is no flag %q", where, line.name)
		}
		if slices.Contains(secretFlags(), line.name) && !private {
			return exit.Misuse("chmod 600 "+path, "%s: %s is a secret, and others may read this file", where, line.name)
		}
		if flag != nil && seen[line.name] && !repeats(flag) {
			return exit.Misuse("", "%s: %s stands there twice", where, line.name)
		}
		seen[line.name] = true
		if flag == nil || given[line.name] {
			continue
		}
		if err := set.Set(line.name, line.value); err != nil {
			return exit.Misuse("", "%s: %w", where, err)
		}
	}
	return nil
}

// repeats reports whether a flag may be given more than once with a sum as
// its result.
func repeats(flag *pflag.Flag) bool {
	switch flag.Value.(type) {
	case *commaList, *pairMap, pflag.SliceValue:
		return true
	}
	return false
}

// setting is one line of a configuration file.
type setting struct {
	number      int
	name, value string
}

// maxConfig is far above any configuration.
const maxConfig = 1 << 20

// readConfig reads a configuration file, and whether it is its owner's alone.
func readConfig(path string) (lines []setting, private bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, false, err
	}
	if len(text) > maxConfig {
		return nil, false, fmt.Errorf("%s has more than %d bytes", path, maxConfig)
	}
	lines, err = parseConfig(string(text))
	if err != nil {
		return nil, false, fmt.Errorf("%s, %w", path, err)
	}
	// Windows keeps permissions elsewhere.
	return lines, info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows", nil
}

// parseConfig reads name=value lines. Blanks around name and value count for
// nothing; lines that are empty or begin with # are left out. There are no
// quotes: a value goes to the end of its line.
func parseConfig(text string) ([]setting, error) {
	var lines []setting
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.Trim(line, " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		// Nothing of the line is repeated in a message: it may be a secret.
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("line %d: it is no text", number)
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimRight(name, " \t")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("line %d: it is not name=value", number)
		}
		lines = append(lines, setting{number, name, strings.TrimLeft(value, " \t")})
	}
	return lines, nil
}
