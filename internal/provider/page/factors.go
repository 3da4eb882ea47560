// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/qrcode"
	"github.com/tegata/tegata/internal/secret"
)

// The problems of second factors.
const (
	WrongCode      Problem = "wrong-code"
	WrongRecovery  Problem = "wrong-recovery-code"
	TooManyCodes   Problem = "too-many-codes"
	WrongPasskey   Problem = "wrong-passkey"
	WrongName      Problem = "wrong-name"
	TooManyFactors Problem = "too-many-factors"
)

// Factor is the page that asks for a second factor.
type Factor struct {
	Client   string // who asks, as a person knows it; empty at a page of the issuer's own
	Request  string // the sealed pending login
	Username string
	Name     string // may be empty
	App      bool   // the person has an app that shows codes
	Recovery bool   // and recovery codes
	Passkey  string // what a passkey is asked, as JSON; empty: they have none
	Problem  Problem
	// RedirectURI is as at LogIn.
	RedirectURI string
	Script      template.JS // set by Factor
}

// Who is the name that a person goes by.
func (v Factor) Who() string { return cmp.Or(v.Name, v.Username) }

// Factor writes the page.
func (p *Renderer) Factor(w http.ResponseWriter, r *http.Request, status int, v Factor) {
	v.Script = p.passkey.text
	p.write(w, r, status, "factor.html", p.passkeyPolicy(v.RedirectURI, v.Passkey), v)
}

// passkeyPolicy lets the one script run where there is something for it to do.
func (p *Renderer) passkeyPolicy(redirectURI, options string) string {
	if options == "" {
		return policy(redirectURI)
	}
	return policy(redirectURI) + "; script-src " + p.passkey.source
}

// FactorEnrol is the page where a person adds a second factor: an app, or a
// passkey.
type FactorEnrol struct {
	Path        string // where its forms go, below the issuer's
	Request     string // the sealed pending login, or the question
	Required    bool   // the login does not go on without
	Key         secret.String
	URI         secret.String // of the key, for a camera
	Name        string        // what the person typed before
	Passkey     string        // what a new passkey is asked, as JSON; empty: there can be none
	Problem     Problem
	RedirectURI string
	Script      template.JS // set by FactorEnrol
}

// KeyText is the key as a person types it.
func (v FactorEnrol) KeyText() string {
	text, groups := v.Key.Reveal(), []string{}
	for ; len(text) > 4; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(append(groups, text), " ")
}

// Picture is the URI as a QR code; nil if it is too long for one.
func (v FactorEnrol) Picture() *Picture {
	code := qrcode.Encode([]byte(v.URI.Reveal()))
	if code == nil {
		return nil
	}
	return &Picture{code}
}

// Picture is a QR code as SVG has it.
type Picture struct{ code *qrcode.Code }

// quiet is the light frame (ISO/IEC 18004, section 5.3.8).
const quiet = 4

// Box is the part of the plane to show.
func (p Picture) Box() string {
	return fmt.Sprintf("-%d -%d %d %d", quiet, quiet, p.code.Size+2*quiet, p.code.Size+2*quiet)
}

// Path draws the dark modules, row by row.
func (p Picture) Path() string {
	var path strings.Builder
	for y := range p.code.Size {
		for x := 0; x < p.code.Size; x++ {
			from := x
			for x < p.code.Size && p.code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
			}
		}
	}
	return path.String()
}

// FactorEnrol writes the page.
func (p *Renderer) FactorEnrol(w http.ResponseWriter, r *http.Request, status int, v FactorEnrol) {
	v.Script = p.passkey.text
	p.write(w, r, status, "factorenrol.html", p.passkeyPolicy(v.RedirectURI, v.Passkey), v)
}

// RecoveryCodes is the page that shows new recovery codes, once.
type RecoveryCodes struct {
	Codes       []secret.String
	Request     string // the sealed login that goes on from here; empty: back to the list
	RedirectURI string
}

// Lines are the codes as they are printed.
func (v RecoveryCodes) Lines() (lines []string) {
	for _, code := range v.Codes {
		lines = append(lines, code.Reveal())
	}
	return lines
}

// RecoveryCodes writes the page.
func (p *Renderer) RecoveryCodes(w http.ResponseWriter, r *http.Request, v RecoveryCodes) {
	p.write(w, r, http.StatusOK, "recoverycodes.html", policy(v.RedirectURI), v)
}

// Factors is the page where a person sees their second factors.
type Factors struct {
	Username string
	Name     string // may be empty
	Factors  []FactorLine
	Left     int  // recovery codes
	Required bool // so the last one cannot be removed without another being asked for
	Problem  Problem
}

// FactorLine is one of them, without the sheet of recovery codes.
type FactorLine struct {
	ID      string
	Passkey bool // else an app
	Name    string
	Created time.Time
	Used    time.Time
}

// Day is a time as a person reads it.
func (FactorLine) Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Who is the name that a person goes by.
func (v Factors) Who() string { return cmp.Or(v.Name, v.Username) }

// Factors writes the page.
func (p *Renderer) Factors(w http.ResponseWriter, r *http.Request, status int, v Factors) {
	p.write(w, r, status, "factors.html", policy(""), v)
}

// factorText is the words of these pages.
type factorText struct {
	AskTitle, AskWho, UseCode, Code, CodeFromApp string
	UsePasskey, PasskeyNeedsScript, PasskeyFails string
	UseRecovery, RecoveryCode, ConfirmButton     string

	EnrolTitle, EnrolRequired, EnrolChoose            string
	App, AppScan, AppKey, AppConfirm, Name, AddButton string
	Passkey, PasskeyWhat, AddPasskeyButton            string

	CodesTitle, CodesKeep, CodesOnce, KeptButton string

	ListTitle, ListWho, None, Added, Used string
	Remove, RemoveWarning, RemoveButton   string
	AddLink, RecoveryTitle, CodesLeft     string
	RenewCodes, RenewWarning, RenewButton string
	LastRequired, AppNamed, PasskeyNamed  string
	Problems                              map[Problem]explained
}

// Explain returns the words for a problem.
func (t factorText) Explain(p Problem) explained { return t.Problems[p] }

var factorEnglish = factorText{
	AskTitle:           "Confirm that it is you",
	AskWho:             "You are logging in as %s.",
	UseCode:            "With your app",
	Code:               "Code",
	CodeFromApp:        "The six digits that your app shows now.",
	UsePasskey:         "Use your passkey",
	PasskeyNeedsScript: "A passkey needs a browser that runs scripts. Use another way here, or allow scripts for this site.",
	PasskeyFails:       "The passkey was not used. Try again, or use another way.",
	UseRecovery:        "Use a recovery code",
	RecoveryCode:       "Recovery code",
	ConfirmButton:      "Confirm",

	EnrolTitle:       "Add a second factor",
	EnrolRequired:    "Your organization wants more than a password. Set up one of these now; it takes a minute.",
	EnrolChoose:      "Somebody who learns your password cannot log in without it.",
	App:              "An app that shows codes",
	AppScan:          "Scan the picture with an authenticator app on your phone.",
	AppKey:           "If you cannot scan it, type this key into the app:",
	AppConfirm:       "Code that the app shows",
	Name:             "Name for it, if you like",
	AddButton:        "Add the app",
	Passkey:          "A passkey",
	PasskeyWhat:      "A security key, or the fingerprint, face or PIN of this device. It cannot be tricked by a false login page.",
	AddPasskeyButton: "Add a passkey",

	CodesTitle: "Your recovery codes",
	CodesKeep:  "Print them or write them down, and keep them where you keep important papers. If you lose your phone or your passkey, each of them lets you in once.",
	CodesOnce:  "They are shown this once. Codes that you had before no longer work.",
	KeptButton: "I have kept them",

	ListTitle:     "Your second factors",
	ListWho:       "You are logged in as %s.",
	None:          "You have none yet. Your password alone lets somebody in.",
	Added:         "added %s",
	Used:          "last used %s",
	Remove:        "Remove",
	RemoveWarning: "It will no longer let you in.",
	RemoveButton:  "Remove it",
	AddLink:       "Add a second factor",
	RecoveryTitle: "Recovery codes",
	CodesLeft:     "%d left",
	RenewCodes:    "New recovery codes",
	RenewWarning:  "The codes that you have now will no longer work.",
	RenewButton:   "Make new codes",
	LastRequired:  "Your organization wants a second factor. If you remove the last one, you will be asked to set up another at your next login.",
	AppNamed:      "App",
	PasskeyNamed:  "Passkey",

	Problems: map[Problem]explained{
		WrongCode:      {"The code is wrong, or was used already.", "Wait for the next one and type it. If it stays wrong, check that the clock of your phone is right."},
		WrongRecovery:  {"The recovery code is wrong, or was used already.", "Type it as it stands on the paper, or take another one: each of them works once."},
		TooManyCodes:   {"There were too many wrong codes.", "Wait five minutes, then try again."},
		WrongPasskey:   {"This passkey did not work.", "Try again with one that you have added here, or use another way."},
		WrongName:      {"The name is too long.", "Use at most 60 characters."},
		TooManyFactors: {"You have as many second factors as you may.", "Remove one that you no longer use, then add the new one."},
	},
}

var factorJapanese = factorText{
	AskTitle:           "本人確認",
	AskWho:             "%s としてログインしようとしています。",
	UseCode:            "アプリを使う",
	Code:               "コード",
	CodeFromApp:        "アプリに表示されている 6 桁の数字を入力してください。",
	UsePasskey:         "パスキーを使う",
	PasskeyNeedsScript: "パスキーを使うには、スクリプトを実行できるブラウザーが必要です。別の方法を使うか、このサイトのスクリプトを許可してください。",
	PasskeyFails:       "パスキーを使用できませんでした。もう一度試すか、別の方法を使ってください。",
	UseRecovery:        "リカバリーコードを使う",
	RecoveryCode:       "リカバリーコード",
	ConfirmButton:      "確認する",

	EnrolTitle:       "二要素認証の追加",
	EnrolRequired:    "組織の方針により、パスワードだけではログインできません。次のいずれかを今設定してください。1 分ほどで終わります。",
	EnrolChoose:      "パスワードを知られても、これがなければログインされません。",
	App:              "コードを表示するアプリ",
	AppScan:          "スマートフォンの認証アプリで画像を読み取ってください。",
	AppKey:           "読み取れない場合は、このキーをアプリに入力してください：",
	AppConfirm:       "アプリに表示されたコード",
	Name:             "名前（任意）",
	AddButton:        "アプリを追加する",
	Passkey:          "パスキー",
	PasskeyWhat:      "セキュリティキー、またはこのデバイスの指紋・顔・PIN を使います。偽のログインページにだまされることがありません。",
	AddPasskeyButton: "パスキーを追加する",

	CodesTitle: "リカバリーコード",
	CodesKeep:  "印刷するか書き写して、大切な書類と一緒に保管してください。スマートフォンやパスキーをなくしたとき、1 つのコードで 1 回ログインできます。",
	CodesOnce:  "表示されるのは今回だけです。以前のコードは使えなくなりました。",
	KeptButton: "保管しました",

	ListTitle:     "二要素認証",
	ListWho:       "%s としてログインしています。",
	None:          "まだありません。パスワードだけでログインできる状態です。",
	Added:         "%s に追加",
	Used:          "最後の使用 %s",
	Remove:        "削除",
	RemoveWarning: "この要素ではログインできなくなります。",
	RemoveButton:  "削除する",
	AddLink:       "二要素認証を追加する",
	RecoveryTitle: "リカバリーコード",
	CodesLeft:     "残り %d 個",
	RenewCodes:    "新しいリカバリーコード",
	RenewWarning:  "今お持ちのコードは使えなくなります。",
	RenewButton:   "新しいコードを作る",
	LastRequired:  "組織の方針により二要素認証が必要です。最後の 1 つを削除すると、次のログインで別のものを設定するよう求められます。",
	AppNamed:      "アプリ",
	PasskeyNamed:  "パスキー",

	Problems: map[Problem]explained{
		WrongCode:      {"コードが違うか、すでに使われています。", "次のコードが表示されるのを待って入力してください。続く場合は、スマートフォンの時計が正しいか確認してください。"},
		WrongRecovery:  {"リカバリーコードが違うか、すでに使われています。", "紙のとおりに入力するか、別のコードをお試しください。1 つのコードは 1 回だけ使えます。"},
		TooManyCodes:   {"コードの誤りが多すぎます。", "5 分ほど待ってから、もう一度お試しください。"},
		WrongPasskey:   {"このパスキーは使えませんでした。", "ここに追加したパスキーでもう一度試すか、別の方法を使ってください。"},
		WrongName:      {"名前が長すぎます。", "60 文字以内で入力してください。"},
		TooManyFactors: {"登録できる数の上限に達しています。", "使わなくなったものを削除してから追加してください。"},
	},
}
