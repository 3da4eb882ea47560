// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"html/template"
	"strings"
)

// Problem is why a login did not go on, as far as a person is told.
type Problem string

// The problems. NoProblem shows no message.
const (
	NoProblem        Problem = ""
	WrongCredentials Problem = "wrong-credentials"
	UserDisabled     Problem = "user-disabled"
	TooManyAttempts  Problem = "too-many-attempts"
	PageExpired      Problem = "page-expired"
	UnknownClient    Problem = "unknown-client"
	WrongRedirectURI Problem = "wrong-redirect-uri"
	BadRequest       Problem = "bad-request"
	NotFound         Problem = "not-found"
	Unavailable      Problem = "unavailable"
)

// explained is a problem in one language: what happened, and what to try.
type explained struct{ What, Try string }

type messages struct {
	LogIn, LogInTo, Login, Password, LogInButton string
	LoggedIn, LoggedInAs, YouMayClose            string
	Name, Email, Groups, NoGroups, LogOutButton  string
	CannotGoOn, Detail, Reference                string
	Problems                                     map[Problem]explained
}

// Explain returns the words for a problem.
func (m messages) Explain(p Problem) explained { return m.Problems[p] }

// Asks says which client asks, its name marked up.
func (m messages) Asks(client string) template.HTML {
	name := "<strong>" + template.HTMLEscapeString(client) + "</strong>"
	return template.HTML(strings.Replace(m.LogInTo, "%s", name, 1))
}

var english = messages{
	LogIn:        "Log in",
	LogInTo:      "to continue to %s",
	Login:        "User name or e-mail address",
	Password:     "Password",
	LogInButton:  "Log in",
	LoggedIn:     "You are logged in",
	LoggedInAs:   "User name",
	YouMayClose:  "You can close this tab. Applications that send you here will not ask for your password again in this browser.",
	Name:         "Name",
	Email:        "E-mail address",
	Groups:       "Groups",
	NoGroups:     "none",
	LogOutButton: "Log out",
	CannotGoOn:   "This login cannot go on",
	Detail:       "For whoever runs the application:",
	Reference:    "Reference for your administrator:",
	Problems: map[Problem]explained{
		WrongCredentials: {"The user name or the password is wrong.", "Check both, and the Caps Lock key, then try again."},
		UserDisabled:     {"This user is disabled.", "Ask your administrator to enable it."},
		TooManyAttempts:  {"There were too many attempts.", "Wait half a minute, then try again."},
		PageExpired:      {"This login page has expired or belongs to another browser.", "Go back to the application and start again. Cookies must be allowed for this site."},
		UnknownClient:    {"The application that sent you here is not registered.", "Check the client ID in its settings, or ask your administrator to register it."},
		WrongRedirectURI: {"The application wants the answer at an address that is not registered for it.", "Ask your administrator to register the address, or correct it in the settings of the application."},
		BadRequest:       {"The application sent a request that cannot be understood.", "Go back to the application and start again."},
		NotFound:         {"There is no page at this address.", "Go back to the application and start again."},
		Unavailable:      {"The login service cannot answer right now.", "Try again in a moment. If it stays so, tell your administrator."},
	},
}

var japanese = messages{
	LogIn:        "ログイン",
	LogInTo:      "%s に進むにはログインしてください",
	Login:        "ユーザー名またはメールアドレス",
	Password:     "パスワード",
	LogInButton:  "ログイン",
	LoggedIn:     "ログインしています",
	LoggedInAs:   "ユーザー名",
	YouMayClose:  "このタブは閉じてかまいません。このブラウザーでは、ほかのアプリケーションからログインを求められても、パスワードを再入力する必要はありません。",
	Name:         "氏名",
	Email:        "メールアドレス",
	Groups:       "グループ",
	NoGroups:     "なし",
	LogOutButton: "ログアウト",
	CannotGoOn:   "ログインを続けられません",
	Detail:       "アプリケーションの管理者向け：",
	Reference:    "管理者に伝える照会番号：",
	Problems: map[Problem]explained{
		WrongCredentials: {"ユーザー名またはパスワードが違います。", "入力内容と Caps Lock を確認して、もう一度お試しください。"},
		UserDisabled:     {"このユーザーは無効になっています。", "管理者に有効化を依頼してください。"},
		TooManyAttempts:  {"試行回数が多すぎます。", "30 秒ほど待ってから、もう一度お試しください。"},
		PageExpired:      {"このログインページは期限切れか、別のブラウザーで開かれたものです。", "アプリケーションに戻ってやり直してください。このサイトの Cookie を許可する必要があります。"},
		UnknownClient:    {"このアプリケーションは登録されていません。", "設定のクライアント ID を確認するか、管理者に登録を依頼してください。"},
		WrongRedirectURI: {"アプリケーションが指定した戻り先アドレスは登録されていません。", "管理者に登録を依頼するか、アプリケーションの設定を修正してください。"},
		BadRequest:       {"アプリケーションからの要求を解釈できません。", "アプリケーションに戻ってやり直してください。"},
		NotFound:         {"このアドレスにページはありません。", "アプリケーションに戻ってやり直してください。"},
		Unavailable:      {"ただいまログインサービスを利用できません。", "しばらくしてからもう一度お試しください。続く場合は管理者に連絡してください。"},
	},
}
