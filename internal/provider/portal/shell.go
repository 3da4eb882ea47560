// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"encoding/csv"
	"maps"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// shell is where people paste lines.
type shell struct {
	name string
	// word makes a text a word that the shell, and the program behind it,
	// read back as it is. It reports false if there is no such word.
	word func(text string) (string, bool)
	// between is what stands between two words; a long command goes on in
	// the next line where that is safe to paste.
	between string
	longest int // line that it takes, in bytes; 0: any
}

var shells = []shell{
	{"Linux, macOS", wordOfSh, " \\\n  ", 0},
	{"Windows PowerShell", wordOfPowerShell, " ", 0},
	{"Windows cmd", wordOfCmd, " ", 8191},
}

// commands are the lines of kubectl that say what the kubeconfig says.
func commands(n kubeconfig.New) (all []page.Commands) {
	lines := arguments(n)
	for _, s := range shells {
		text, _ := s.write(lines)
		all = append(all, page.Commands{Shell: s.name, Text: secret.New(text)})
	}
	return all
}

// write writes the lines. It reports false if one of them cannot be.
func (s shell) write(lines [][]string) (string, bool) {
	var out strings.Builder
	for _, line := range lines {
		between := " "
		if len(line) > 6 {
			between = s.between
		}
		text := "kubectl config " + line[0]
		for _, argument := range line[1:] {
			word, ok := s.word(argument)
			if !ok {
				return "", false
			}
			text += between + word
		}
		if s.longest > 0 && len(text) > s.longest {
			return "", false
		}
		out.WriteString(text + "\n")
	}
	return out.String(), true
}

// arguments are those of kubectl config, one line for each call.
func arguments(n kubeconfig.New) (lines [][]string) {
	for _, c := range n.Clusters {
		lines = append(lines, []string{"set-cluster", c.Name, "--server=" + c.Server})
		if c.AuthorityData != "" {
			// The name has no dot in it, which would be one of the path.
			lines = append(lines, []string{"set", "clusters." + c.Name + ".certificate-authority-data", c.AuthorityData})
		}
	}
	for _, u := range n.Users {
		line := []string{"set-credentials", u.Name}
		if u.Exec != nil {
			line = append(line, "--exec-api-version="+u.Exec.APIVersion, "--exec-interactive-mode="+u.Exec.InteractiveMode, "--exec-command="+u.Exec.Command)
			for _, arg := range u.Exec.Args {
				line = append(line, "--exec-arg="+csvField(arg))
			}
		}
		if u.AuthProvider != nil {
			line = append(line, "--auth-provider="+u.AuthProvider.Name)
			for _, key := range slices.Sorted(maps.Keys(u.AuthProvider.Config)) {
				line = append(line, "--auth-provider-arg="+csvField(key+"="+u.AuthProvider.Config[key].Reveal()))
			}
		}
		lines = append(lines, line)
	}
	for _, c := range n.Contexts {
		line := []string{"set-context", c.Name, "--cluster=" + c.Cluster, "--user=" + c.User}
		if c.Namespace != "" {
			line = append(line, "--namespace="+c.Namespace)
		}
		lines = append(lines, line)
	}
	return append(lines, []string{"use-context", n.Current})
}

// csvField is a value of a flag that kubectl reads as comma-separated.
func csvField(text string) string {
	var line strings.Builder
	w := csv.NewWriter(&line)
	w.Write([]string{text}) //nolint:errcheck // into memory
	w.Flush()
	return strings.TrimSuffix(line.String(), "\n")
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// made reports whether a text has at least one character, and those alone.
func made(text, of string) bool { return text != "" && strings.Trim(text, of) == "" }

// printable reports whether a text is printable ASCII, without spaces. Windows
// may change anything else on its way to the program.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// wordOfSh: in single quotes all is itself, but for the quote.
func wordOfSh(text string) (string, bool) {
	if made(text, letters+"-_./:@%+=,") {
		return text, true
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'", !strings.Contains(text, "\x00")
}

// wordOfPowerShell: in single quotes all is itself, but for the quote. Windows
// PowerShell 5 passes a double quote on as none, and cuts an option at a dot
// unless it stands in quotes.
func wordOfPowerShell(text string) (string, bool) {
	if made(text, letters+"-") {
		return text, true
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'", text != "" && printable(text) && !strings.Contains(text, `"`)
}

// wordOfCmd: in double quotes all is itself, but for the quote, for what
// names a variable, and for a backslash before the quote.
func wordOfCmd(text string) (string, bool) {
	if made(text, letters+"-_./:@+=#") {
		return text, true
	}
	return `"` + text + `"`, printable(text) && !strings.ContainsAny(text, `"%!\`)
}
