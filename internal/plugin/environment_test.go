// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/plugin"
)

func TestConfigLines(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []plugin.Setting
		err        string
	}{
		{"nothing", "", nil, ""},
		{"comments and blanks", "# a\n\n  # b=c\n\t\r\n", nil, ""},
		{"a value with everything", "a = b=c # d \"e\"\r\n", []plugin.Setting{{Number: 1, Name: "a", Value: `b=c # d "e"`}}, ""},
		{"an empty value", "\na=", []plugin.Setting{{Number: 2, Name: "a"}}, ""},
		{"twice", "a=b\na=c", []plugin.Setting{{Number: 1, Name: "a", Value: "b"}, {Number: 2, Name: "a", Value: "c"}}, ""},
		{"no equals sign", "a=b\nhunter2", nil, "line 2: it is not name=value"},
		{"no name", "=hunter2", nil, "line 1: it is not name=value"},
		{"a name with blanks", "a b=hunter2", nil, "line 1: it is not name=value"},
		{"not UTF-8", "a=\xff", nil, "line 1: it is no text"},
		{"a control character", "a=\x1b[2J", nil, "line 1: it is no text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := plugin.ParseConfig(test.text)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if message != test.err {
				t.Errorf("got the error %q, want %q", message, test.err)
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %v, want %v", got, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("got %v, want %v", got[i], test.want[i])
				}
			}
		})
	}
}

// What is read can be written again and means the same; what is refused is
// not repeated.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{"a=b", "# c\n\n a = b = c \r\n", "=", "a b=c", "a=\x00", "\xff=", "a=b\na=c", "\ufeffa=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := plugin.ParseConfig(text)
		if err != nil {
			if len(err.Error()) > 60 {
				t.Errorf("the error %q holds more than a line number", err)
			}
			return
		}
		var again strings.Builder
		for _, line := range lines {
			if line.Name == "" || strings.ContainsAny(line.Name, " \t\n=") || strings.Contains(line.Value, "\n") || !utf8.ValidString(line.Value) {
				t.Errorf("%q gave %+v", text, line)
			}
			again.WriteString(line.Name + "=" + line.Value + "\n")
		}
		second, err := plugin.ParseConfig(again.String())
		if err != nil || len(second) != len(lines) {
			t.Fatalf("%q became %+v, %v", text, second, err)
		}
		for i := range second {
			if second[i].Name != lines[i].Name || second[i].Value != lines[i].Value {
				t.Errorf("%+v became %+v", lines[i], second[i])
			}
		}
	})
}
