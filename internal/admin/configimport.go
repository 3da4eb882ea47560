// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/admin/dex"
	"github.com/tegata/tegata/internal/exit"
)

// configImport is one run of the command.
type configImport struct {
	from, to string // to is empty for standard output
	force    bool
	out      output
}

func newConfigImport(env Env) *cobra.Command {
	var i configImport
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a configuration file of one of Dex",
		Long: `Make a configuration file of one of Dex, YAML or JSON; - is standard input. The
result is on standard output, or with --write in a file. tegata config check
takes it as soon as the files and the variables that it names are there.

What Dex has and Tegata does not, what is left to do and what behaves
differently is told on standard error, with the line of Dex's file. Exit code
3 means that there is something to decide or to do; 0, that everything was
carried over.

Client secrets become hashes. Other secrets are never printed: with --write
they go to files beside the result, which only you may read. Where Dex reads
a client ID, a password hash or a setting of a connector from an environment
variable, the variable is read now. Dex's database is not read.`,
		Example: `  tegata config import dex.yaml
  tegata config import dex.yaml --write /etc/tegata/tegata.yaml
  kubectl get configmap dex -o 'jsonpath={.data.config\.yaml}' | tegata config import -`,
		Args: arguments(1, 1, "the name of one file, or -"),
		RunE: func(_ *cobra.Command, args []string) error {
			i.from = args[0]
			return i.run(env)
		},
	}
	c.Flags().StringVar(&i.to, "write", "", "write the result to this `FILE`, and secrets to files beside it")
	c.Flags().BoolVar(&i.force, "force", false, "with --write: replace files that are there")
	i.out.flags(c)
	return c
}

func (i configImport) run(env Env) error {
	if err := i.out.check(); err != nil {
		return err
	}
	if i.force && i.to == "" {
		return exit.Misuse("add --write FILE", "--force is about the file of --write")
	}
	text, err := i.read(env)
	if err != nil {
		return fmt.Errorf("reading Dex's configuration: %w", err)
	}
	result, err := dex.Convert(text, dex.Options{
		Name: i.from, Check: checkConverted,
		Lookup: func(name string) (string, bool) { value := env.getenv(name); return value, value != "" },
	})
	if err != nil {
		return err
	}
	made, err := result.YAML()
	if err != nil {
		return err
	}
	if err := checkText(made); err != nil {
		return fmt.Errorf("the result is not a good configuration, which is a mistake of tegata; please report it with a file that shows it: %w", err)
	}
	var written []string
	if i.to != "" {
		if written, err = i.write(made, result.Files); err != nil {
			return err
		}
	} else {
		result.Findings = append(result.Findings, filesToMake(result.Files)...)
	}
	if err := i.print(env, made, written, result); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return i.verdict(env, result.Findings)
}

func (i configImport) read(env Env) ([]byte, error) {
	if i.from == "-" {
		return io.ReadAll(env.Stdin)
	}
	return os.ReadFile(i.from)
}

// checkConverted is what tegata config check says of a part, without what a
// reader of Dex's file cannot know.
func checkConverted(c dex.Config) error {
	text, err := c.YAML()
	if err == nil {
		err = checkText(text)
	}
	if err != nil {
		return errors.New(placeOfPart.ReplaceAllString(err.Error(), ""))
	}
	return nil
}

var placeOfPart = regexp.MustCompile(`^(sources|users|groups|clients)\[\d+\](\.\w+)*: `)

// checkText checks a configuration without its files.
func checkText(text []byte) error {
	var c config
	if err := decodeStrict("the result", text, &c); err != nil {
		return err
	}
	return c.check()
}

func filesToMake(files []dex.File) []dex.Finding {
	var findings []dex.Finding
	for _, file := range files {
		findings = append(findings, dex.Finding{
			Kind: dex.Next, At: file.At, Line: file.Line,
			Text: fmt.Sprintf("the file %s must hold %s", file.Name, file.What),
			Do:   "make it with mode 0600 beside the configuration; --write does that",
		})
	}
	return findings
}

// write writes the configuration last, so that it never names what is not
// there.
func (i configImport) write(made []byte, beside []dex.File) ([]string, error) {
	if from, err := os.Stat(i.from); err == nil {
		if to, err := os.Stat(i.to); err == nil && os.SameFile(from, to) {
			return nil, exit.Misuse("choose another name", "%s is Dex's configuration itself", i.to)
		}
	}
	type file struct{ path, content string }
	var files []file
	for _, one := range beside {
		files = append(files, file{filepath.Join(filepath.Dir(i.to), one.Name), one.Content.Reveal()})
	}
	files = append(files, file{i.to, string(made)})
	for _, one := range files {
		if _, err := os.Lstat(one.path); err == nil && !i.force {
			return nil, exit.WithHint(fmt.Errorf("%s is there already", one.path), "choose another name, or add --force to replace it; nothing was written")
		}
	}
	var written []string
	for _, one := range files {
		if err := writeOver(one.path, one.content); err != nil {
			return nil, fmt.Errorf("writing the result: %w", err)
		}
		written = append(written, one.path)
	}
	return written, nil
}

// writeOver is writeNew, in the place of what is there.
func writeOver(path, content string) error {
	err := writeNew(path, content)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	next := path + ".new"
	if err := writeNew(next, content); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// print shows the result, and what was found.
func (i configImport) print(env Env, made []byte, written []string, result *dex.Result) error {
	if i.out.format == "json" {
		return i.printJSON(env, made, written, result)
	}
	if i.to == "" {
		if _, err := env.Stdout.Write(made); err != nil {
			return err
		}
	}
	for _, group := range []struct {
		kind  dex.Kind
		title string
	}{
		{dex.Missing, "What has no equivalent:"},
		{dex.Next, "What is left to do:"},
		{dex.Changed, "What behaves differently:"},
	} {
		title := group.title
		for _, finding := range result.Findings {
			if finding.Kind != group.kind {
				continue
			}
			if title != "" {
				env.notef("%s", title)
				title = ""
			}
			place := i.from
			if finding.Line > 0 {
				place = fmt.Sprintf("%s:%d", i.from, finding.Line)
			}
			env.notef("\n  %s: %s\n    %s", place, finding.At, finding.Text)
			if finding.Do != "" {
				env.notef("    -> %s", finding.Do)
			}
		}
		if title == "" {
			env.notef("")
		}
	}
	for _, path := range written {
		env.notef("wrote %s", path)
	}
	return nil
}

// printJSON shows all of it, for programs.
func (i configImport) printJSON(env Env, made []byte, written []string, result *dex.Result) error {
	type suggestion struct {
		Why           string          `json:"why"`
		Configuration json.RawMessage `json:"configuration"`
	}
	shown := struct {
		Configuration json.RawMessage `json:"configuration"`
		Suggestions   []suggestion    `json:"suggestions"`
		Written       []string        `json:"written,omitempty"`
		Findings      []dex.Finding   `json:"findings"`
	}{nil, []suggestion{}, written, append([]dex.Finding{}, result.Findings...)}
	var err error
	if shown.Configuration, err = yaml.YAMLToJSON(made); err != nil {
		return err
	}
	for _, one := range result.Suggestions {
		text, err := one.Config.YAML()
		if err != nil {
			return err
		}
		configuration, err := yaml.YAMLToJSON(text)
		if err != nil {
			return err
		}
		shown.Suggestions = append(shown.Suggestions, suggestion{one.Why, configuration})
	}
	return i.out.print(env.Stdout, shown, nil)
}

// verdict is the exit code, with a reason.
func (i configImport) verdict(env Env, findings []dex.Finding) error {
	open := 0
	for _, finding := range findings {
		if finding.Kind != dex.Changed {
			open++
		}
	}
	switch {
	case open == 1:
		return &exit.Error{Err: errors.New("one finding needs you"), Hint: "what has an arrow says what to do", Code: exit.Findings}
	case open > 1:
		return &exit.Error{Err: fmt.Errorf("%d findings need you", open), Hint: "what has an arrow says what to do", Code: exit.Findings}
	}
	env.notef("everything was carried over")
	return nil
}
