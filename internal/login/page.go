// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// page is what the browser shows when the provider has sent it back to us.
// It is one file without script, with its style inside; html/template would
// add a fifth to the program for four sentences.
type page struct {
	status   int
	location string // of a redirect, which has no body
	body     string
}

// mark is the gate of the provider's pages.
const mark = `<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M3 6c9 2 17 2 26 0v4l-4 .6V14h3v3h-3v11h-4V17H11v11H7V17H4v-3h3v-3.4L3 10zm8 5v3h3.5v-2.8zm10 0-3.5.2V14H21z"/></svg>`

//go:embed page.css
var pageStyle string

// language is one that the pages speak.
type language string

const (
	english  language = "en"
	japanese language = "ja"
)

// pageText is what the pages say in one language.
type pageText struct {
	loggedIn, loggedInAs, closeTab       string
	notLoggedIn, seeTerminal             string
	stranger, strangerWhy, strangerClose string
}

func (l language) text() pageText {
	if l == japanese {
		return pageText{
			loggedIn:      "ログインしました",
			loggedInAs:    "ユーザー：%[1]s（クライアント：%[2]s）",
			closeTab:      "このタブを閉じて、ターミナルに戻ってください。",
			notLoggedIn:   "ログインできませんでした",
			seeTerminal:   "次にすることはターミナルに表示されています。このタブは閉じてかまいません。",
			stranger:      "このページは使えません",
			strangerWhy:   "この応答を待っているログインはありません。",
			strangerClose: "ログインを始めたターミナルに戻り、もう一度試してください。",
		}
	}
	return pageText{
		loggedIn:      "You are logged in",
		loggedInAs:    "as %[1]s, for %[2]s",
		closeTab:      "You can close this tab and go back to the terminal.",
		notLoggedIn:   "You are not logged in",
		seeTerminal:   "The terminal says what to do next. You can close this tab.",
		stranger:      "This page is of no use",
		strangerWhy:   "No login is waiting for this answer.",
		strangerClose: "Go back to the terminal in which you began, and try again.",
	}
}

// successPage is shown when the credential is on its way to kubectl. name is
// the end user's; it may be empty.
func successPage(l language, name, client string) page {
	text := l.text()
	var who string
	if name != "" {
		who = "<p>" + fmt.Sprintf(text.loggedInAs, strong(name), strong(client)) + "</p>\n"
	}
	return l.page(http.StatusOK, text.loggedIn, who+quiet(text.closeTab))
}

// failurePage tells the reason: the terminal may be hidden behind the browser.
func failurePage(l language, reason error) page {
	text := l.text()
	return l.page(http.StatusBadRequest, text.notLoggedIn, `<p lang="en">`+strong(plain(reason.Error()))+"</p>\n"+quiet(text.seeTerminal))
}

// strangerPage answers who is not a part of this login.
func strangerPage(l language, status int) page {
	text := l.text()
	return l.page(status, text.stranger, "<p>"+html.EscapeString(text.strangerWhy)+"</p>\n"+quiet(text.strangerClose))
}

// redirectTo sends the browser on.
func redirectTo(address string) page { return page{status: http.StatusSeeOther, location: address} }

func (l language) page(status int, title, content string) page {
	return page{status: status, body: `<!DOCTYPE html>
<html lang="` + string(l) + `">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>` + html.EscapeString(title) + `</title>
<link rel="icon" href="data:,">
<style>` + pageStyle + `</style>
</head>
<body>
<main>
` + mark + `
<h1>` + html.EscapeString(title) + `</h1>
` + content + `</main>
</body>
</html>
`}
}

func strong(s string) string { return "<strong>" + html.EscapeString(s) + "</strong>" }

func quiet(s string) string { return `<p class="quiet">` + html.EscapeString(s) + "</p>\n" }

// response is the page as an answer to r, under headers that let it do nothing
// but be read.
func (p page) response(r *http.Request) *http.Response {
	sum := sha256.Sum256([]byte(pageStyle))
	header := http.Header{}
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("Server", serverName)
	switch {
	case p.location != "":
		header.Set("Location", p.location)
	case p.status == http.StatusMethodNotAllowed:
		header.Set("Allow", http.MethodGet)
	}
	if p.body != "" {
		header.Set("Content-Type", "text/html; charset=utf-8")
	}
	return &http.Response{
		StatusCode:    p.status,
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(strings.NewReader(p.body)),
		ContentLength: int64(len(p.body)),
		Close:         true,
		Request:       r,
	}
}

// acceptedLanguage picks the language that a browser asks for (RFC 9110,
// section 12.5.4); English if it asks for none of ours.
func acceptedLanguage(header string) language {
	best, weight := english, 0.0
	for part := range strings.SplitSeq(header, ",") {
		tag, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if language(primary) != english && language(primary) != japanese {
			continue
		}
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			if parsed, err := strconv.ParseFloat(value, 64); err == nil {
				q = parsed
			}
		}
		if q > weight {
			best, weight = language(primary), q
		}
	}
	return best
}
