// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// manual makes a manual page of a reference page. That one is written from the
// commands themselves, so this says what they do; it knows as much of Markdown
// as stands there.
func manual(command, summary, version string, when time.Time, reference string) string {
	var page strings.Builder
	fmt.Fprintf(&page, ".TH %s 1 %s %s Tegata\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n",
		strings.ToUpper(command), when.Format(time.DateOnly), version, plainRoff(command), plainRoff(summary))
	lines := strings.Split(reference, "\n")
	literal := false
	for i, line := range lines {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		switch {
		case strings.HasPrefix(line, "```"):
			if literal = !literal; literal {
				page.WriteString(".PP\n.nf\n.RS 4\n")
			} else {
				page.WriteString(".RE\n.fi\n")
			}
		case literal:
			page.WriteString(plainRoff(line) + "\n")
		case line == "":
			page.WriteString(".PP\n")
		case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "|---"):
		case strings.HasPrefix(line, "|") && strings.HasPrefix(lines[i+1], "|---"): // the head of a table
		case strings.HasPrefix(line, "## "):
			page.WriteString(".SH " + strings.ToUpper(roff(line[3:])) + "\n")
		case strings.HasPrefix(line, "### "):
			page.WriteString(".SS " + roff(line[4:]) + "\n")
		case strings.HasPrefix(line, "- "):
			page.WriteString(".IP \\(bu 2\n" + roff(line[2:]) + "\n")
		case numbered.MatchString(line):
			number, text, _ := strings.Cut(line, " ")
			page.WriteString(".IP " + number + " 4\n" + roff(text) + "\n")
		case strings.HasPrefix(line, "|"):
			page.WriteString(".TP\n" + roff(cells[0]) + "\n" + roff(strings.Join(cells[1:], "; ")) + "\n")
		default:
			page.WriteString(roff(line) + "\n")
		}
	}
	return page.String()
}

var (
	numbered = regexp.MustCompile(`^\d+\. `)
	link     = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
	code     = regexp.MustCompile("`([^`]*)`")
)

// roff is a line of text with its code in bold.
func roff(line string) string {
	return code.ReplaceAllString(plainRoff(link.ReplaceAllString(line, "$1")), `\fB$1\fR`)
}

// plainRoff is a text that means nothing to the formatter.
func plainRoff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
