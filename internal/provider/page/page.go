// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package page is what a person sees of the provider: log in, agree, log out,
// error. Plain HTML that works without script, in English and Japanese, light
// and dark, from 320 pixels wide.
//
//   - page.go: the pages as Go calls
//   - policy.go: what a browser may do with a page
//   - messages.go: every word, in both languages
//   - portal.go: the pages of a person who is logged in, and their words
//   - console.go: the administration pages, and their words
//   - *.html, tegata.css, mark.svg: the templates, the one style sheet, the icon
//   - submit.js: a script that presses the button of formpost.html
//   - passkey.js: the only other one; it asks the browser for a passkey
//   - testdata: golden copies of each page
//
// The endpoints call it; it knows no endpoint and no storage.
package page

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/text/language"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

//go:embed *.html tegata.css mark.svg *.js
var files embed.FS

// Renderer writes the pages of one issuer.
type Renderer struct {
	templates *template.Template
	assets    map[string]asset // by path
	style     string           // the path of the style sheet
	icon      string           // the path of the icon
	submit    script
	passkey   script
	base      string // the path of the issuer, without a slash at the end
	host      string
	matcher   language.Matcher
}

type asset struct {
	contentType string
	body        []byte
}

// New makes the pages of the issuer at the URL.
func New(issuer *url.URL) (*Renderer, error) {
	templates, err := template.ParseFS(files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the pages: %w", err)
	}
	p := &Renderer{
		templates: templates,
		assets:    map[string]asset{},
		base:      strings.TrimSuffix(issuer.Path, "/"),
		host:      issuer.Host,
		matcher:   language.NewMatcher([]language.Tag{language.English, language.Japanese}),
	}
	if p.style, err = p.addAsset("tegata.css", "text/css; charset=utf-8"); err != nil {
		return nil, err
	}
	if p.icon, err = p.addAsset("mark.svg", "image/svg+xml"); err != nil {
		return nil, err
	}
	if p.submit, err = readScript("submit.js"); err != nil {
		return nil, err
	}
	if p.passkey, err = readScript("passkey.js"); err != nil {
		return nil, err
	}
	return p, nil
}

// addAsset returns the path of an embedded file. The path changes with the
// content, so a browser may keep the file for ever.
func (p *Renderer) addAsset(name, contentType string) (string, error) {
	body, err := files.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("reading an embedded file: %w", err)
	}
	sum := sha256.Sum256(body)
	path := p.AssetsPath() + hex.EncodeToString(sum[:6]) + "-" + name
	p.assets[path] = asset{contentType, body}
	return path, nil
}

// LogIn is the page that asks for a user name and a password.
type LogIn struct {
	Client  string // who asks, as a person knows it; empty at the issuer's own page
	Request string // the sealed pending request
	Login   string // what the person typed before, or the login_hint
	Problem Problem
	Detail  string // what the source says of it; may be empty
	// Sources take passwords. With more than one, the person chooses.
	Sources []Choice
	// Elsewhere are the sources to which the browser can be sent.
	Elsewhere []Choice
	// RedirectURI is where the answer will go; a browser checks it against
	// form-action when it follows the redirect that answers the form.
	RedirectURI string
}

// Choice is one source.
type Choice struct {
	Name   string
	Title  string // empty: the local accounts
	Chosen bool   // before
}

// Asks reports whether the person has to say which source they mean.
func (v LogIn) Asks() bool { return len(v.Sources) > 1 }

// LogIn writes the page.
func (p *Renderer) LogIn(w http.ResponseWriter, r *http.Request, status int, v LogIn) {
	allowed := policy(v.RedirectURI)
	if len(v.Elsewhere) > 0 && v.RedirectURI == "" {
		allowed = policy("https:") // where the form may lead to
	}
	p.write(w, r, status, "login.html", allowed, v)
}

// ExpiredPassword is the page on which a person sets another password before
// the login goes on.
type ExpiredPassword struct {
	Request     string // the sealed pending request
	Login       string // whose it is, for password managers
	Problem     Problem
	Detail      string          // what the source says of a password that it refused; may be empty
	Flaws       []identity.Flaw // the same where the source is ours
	RedirectURI string          // as at LogIn
}

// ExpiredPassword writes the page.
func (p *Renderer) ExpiredPassword(w http.ResponseWriter, r *http.Request, status int, v ExpiredPassword) {
	p.write(w, r, status, "expiredpassword.html", policy(v.RedirectURI), v)
}

// Consent is the page that asks a person with a session whether a client may
// use it. No button of it has the focus: a key that was meant for another
// window must not be the answer.
type Consent struct {
	Client      string // who asks, as a person knows it
	Request     string // the sealed pending request
	Username    string
	Name        string      // may be empty
	Scopes      oidc.Scopes // what the client gets to know, if the person is told
	Local       bool        // the client is a program on some machine, and any can say that it is this one
	RedirectURI string      // as at LogIn
}

// The answers of the page: the values of the field answer.
const (
	AnswerContinue = "continue"
	AnswerOther    = "other" // log in as somebody else
	AnswerCancel   = "cancel"
)

// Who is the name that a person goes by.
func (v Consent) Who() string { return cmp.Or(v.Name, v.Username) }

// Consent writes the page.
func (p *Renderer) Consent(w http.ResponseWriter, r *http.Request, v Consent) {
	p.write(w, r, http.StatusOK, "consent.html", policy(v.RedirectURI), v)
}

// FormPost is the page that carries an answer to a client (OAuth 2.0 Form Post
// Response Mode): a form that a script sends, or the person where there is no
// script.
type FormPost struct {
	RedirectURI string // http or https
	Answer      url.Values
	Script      template.JS // set by FormPost
}

// FormPost writes the page.
func (p *Renderer) FormPost(w http.ResponseWriter, r *http.Request, v FormPost) {
	v.Script = p.submit.text
	// With same-origin a browser would say "Origin: null", and clients that
	// look where a form comes from would refuse it.
	w.Header().Set("Referrer-Policy", "strict-origin")
	p.write(w, r, http.StatusOK, "formpost.html", policy(v.RedirectURI)+"; script-src "+p.submit.source, v)
}

// LogOut is the page that asks a person whether they want to log out.
type LogOut struct {
	Client      string // who asks, as a person knows it; may be empty
	Request     string // the sealed logout request
	Username    string
	Name        string // may be empty
	RedirectURI string // where the browser goes after the logout; may be empty
}

// The answers of the page: the values of the field answer.
const (
	AnswerLogOut = "logout"
	AnswerStay   = "stay"
)

// Who is the name that a person goes by.
func (v LogOut) Who() string { return cmp.Or(v.Name, v.Username) }

// LogOut writes the page.
func (p *Renderer) LogOut(w http.ResponseWriter, r *http.Request, v LogOut) {
	p.write(w, r, http.StatusOK, "logout.html", policy(v.RedirectURI), v)
}

// LoggedOut is the page that ends a logout.
type LoggedOut struct {
	Next string // where the browser goes by itself, to end another session; may be empty
}

// LoggedOut writes the page.
func (p *Renderer) LoggedOut(w http.ResponseWriter, r *http.Request, v LoggedOut) {
	p.write(w, r, http.StatusOK, "loggedout.html", policy(""), v)
}

// Failure is the page for a request that cannot go on and must not be
// answered by a redirect.
type Failure struct {
	Problem   Problem
	LogOut    bool   // it was a logout, not a login
	Detail    string // for who wrote the client; English, may be empty
	Reference string // finds the line in the log; may be empty
}

// Failure writes the page.
func (p *Renderer) Failure(w http.ResponseWriter, r *http.Request, status int, v Failure) {
	p.write(w, r, status, "failure.html", policy(""), v)
}

// AssetsPath is the folder whose files Asset serves.
func (p *Renderer) AssetsPath() string { return p.base + "/assets/" }

// Asset serves the style sheet and the icon.
func (p *Renderer) Asset(w http.ResponseWriter, r *http.Request) {
	found, ok := p.assets[r.URL.Path]
	if !ok {
		p.Failure(w, r, http.StatusNotFound, Failure{Problem: NotFound})
		return
	}
	w.Header().Set("Content-Type", found.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(found.body)
}

// view is what every template gets.
type view struct {
	Lang  string
	Text  messages
	Style string
	Icon  string
	Base  string
	Host  string
	Page  any
}

func (p *Renderer) write(w http.ResponseWriter, r *http.Request, status int, name, policy string, content any) {
	v := view{Lang: "en", Text: english, Style: p.style, Icon: p.icon, Base: p.base, Host: p.host, Page: content}
	if p.japanese(r) {
		v.Lang, v.Text = "ja", japanese
	}
	var body bytes.Buffer
	if err := p.templates.ExecuteTemplate(&body, name, v); err != nil {
		// The templates are part of the program and every page has a golden
		// test, so this is a defect; the person still gets an answer.
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", v.Lang)
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept-Language")
	header.Set("Content-Security-Policy", policy)
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// japanese reports whether the person would rather read Japanese: by
// ui_locales if the client passed it (OpenID Connect Core 1.0, section
// 3.1.2.1), by Accept-Language otherwise.
func (p *Renderer) japanese(r *http.Request) bool {
	var wanted []language.Tag
	if r.Form != nil {
		for locale := range strings.FieldsSeq(r.Form.Get("ui_locales")) {
			if tag, err := language.Parse(locale); err == nil {
				wanted = append(wanted, tag)
			}
		}
	}
	accepted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err == nil {
		wanted = append(wanted, accepted...)
	}
	_, index, _ := p.matcher.Match(wanted...)
	return index == 1
}
