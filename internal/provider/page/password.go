// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/tegata/tegata/internal/identity"
)

// The problems of passwords.
const (
	LinkSpent        Problem = "link-spent"
	WrongOldPassword Problem = "wrong-old-password"
	NoPasswordChange Problem = "no-password-change"
)

// NewPassword is what the pages have in common on which a person sets a
// password.
type NewPassword struct {
	Rules   []identity.Flaw // what is demanded, as far as it is known before
	Problem Problem
	Flaws   []identity.Flaw // why the one that was typed is not taken
	Reason  string          // the same in the words of the source; may be empty
}

// ChangePassword is the page on which a person with a session changes the
// password.
type ChangePassword struct {
	Account
	NewPassword
	Elsewhere bool // the password is not changed here
}

// ChangePassword writes the page.
func (p *Renderer) ChangePassword(w http.ResponseWriter, r *http.Request, status int, v ChangePassword) {
	p.write(w, r, status, "changepassword.html", policy(""), v)
}

// PasswordChanged is the page that follows.
type PasswordChanged struct{ Account }

// PasswordChanged writes the page.
func (p *Renderer) PasswordChanged(w http.ResponseWriter, r *http.Request, v PasswordChanged) {
	p.write(w, r, http.StatusOK, "passwordchanged.html", policy(""), v)
}

// Welcome is the page to which a link leads on which a person sets a password.
type Welcome struct {
	NewPassword
	Token    string // of the link
	Invited  bool   // it is the first password
	Username string
	Name     string // may be empty
}

// Who is the name that a person goes by.
func (v Welcome) Who() string { return cmp.Or(v.Name, v.Username) }

// Welcome writes the page. Its address is a secret, so nobody is told it: not
// even ourselves, when the style sheet is fetched.
func (p *Renderer) Welcome(w http.ResponseWriter, r *http.Request, status int, v Welcome) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	p.write(w, r, status, "welcome.html", policy(""), v)
}

// LinkSpent writes the page for a link that is no good.
func (p *Renderer) LinkSpent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	p.write(w, r, http.StatusGone, "linkspent.html", policy(""), nil)
}

// passwordText is the words of these pages.
type passwordText struct {
	ChangeTitle, ChangeEnds, ChangeButton                             string
	ChangedTitle, ChangedText, BackLink                               string
	Demands                                                           string
	InvitedTitle, InvitedText, ResetTitle, ResetText, SetButton, Once string
	LinkTitle                                                         string

	Rules    map[identity.Rule]string // %d is the limit
	OnlyOld  string                   // Fresh where only the one until now counts
	Problems map[Problem]explained
}

// ExplainPassword returns the words for a problem of these pages.
func (m messages) ExplainPassword(p Problem) explained {
	if words, ok := m.Passwords.Problems[p]; ok {
		return words
	}
	return m.Explain(p)
}

// Rule returns the words for what is demanded of a password.
func (t passwordText) Rule(f identity.Flaw) string {
	if f.Rule == identity.Fresh && f.Limit < 2 {
		return t.OnlyOld
	}
	return strings.Replace(t.Rules[f.Rule], "%d", strconv.Itoa(f.Limit), 1)
}

var passwordEnglish = passwordText{
	ChangeTitle:  "Change your password",
	ChangeEnds:   "Every other browser and program in which you are logged in will ask you to log in again. This browser stays logged in.",
	ChangeButton: "Change the password",
	ChangedTitle: "Your password is changed",
	ChangedText:  "You are still logged in here. Everywhere else you log in again, with the new password.",
	BackLink:     "Back to your page",
	Demands:      "Your new password:",
	InvitedTitle: "Welcome, %s",
	InvitedText:  "Choose the password with which you will log in. Your user name is %s.",
	ResetTitle:   "Choose a new password",
	ResetText:    "It will be the password of %s. Everywhere where this account is logged in, the login ends.",
	SetButton:    "Set the password",
	Once:         "This link is good once. The login page comes next.",
	LinkTitle:    "This link is no good any more",
	Rules: map[identity.Rule]string{
		identity.LongEnough:   "needs at least %d characters",
		identity.ShortEnough:  "may have at most %d bytes",
		identity.HasLowercase: "needs a small letter",
		identity.HasUppercase: "needs a capital letter",
		identity.HasDigit:     "needs a digit",
		identity.HasSymbol:    "needs a symbol, such as a hyphen or a space",
		identity.Uncommon:     "must not be one that many people use, such as a word with a number behind it or a row of keys",
		identity.Impersonal:   "must not hold your name, your e-mail address or the name of this service",
		identity.Fresh:        "must not be one of your last %d passwords",
	},
	OnlyOld: "must not be your present password",
	Problems: map[Problem]explained{
		LinkSpent:        {"It was used, or its time is over.", "If you have set your password with it, log in. Otherwise ask your administrator for another link."},
		WrongOldPassword: {"The password until now is wrong.", "Check the Caps Lock key, then try again. After many wrong passwords an account is locked for a while."},
		NoPasswordChange: {"Your password is not changed here.", "Change it where your account is kept, or ask your administrator."},
		PasswordRefused:  {"The new password was refused.", "Choose another one."},
	},
}

var passwordJapanese = passwordText{
	ChangeTitle:  "パスワードの変更",
	ChangeEnds:   "ほかのブラウザーやプログラムでのログインはすべて終了し、再びログインが必要になります。このブラウザーではログインしたままです。",
	ChangeButton: "パスワードを変更",
	ChangedTitle: "パスワードを変更しました",
	ChangedText:  "このブラウザーではログインしたままです。ほかでは、新しいパスワードでログインし直してください。",
	BackLink:     "自分のページに戻る",
	Demands:      "新しいパスワードの条件：",
	InvitedTitle: "%s さん、ようこそ",
	InvitedText:  "ログインに使うパスワードを決めてください。ユーザー名は %s です。",
	ResetTitle:   "新しいパスワードの設定",
	ResetText:    "%s の新しいパスワードになります。このアカウントのログインは、すべての場所で終了します。",
	SetButton:    "パスワードを設定",
	Once:         "このリンクは 1 回だけ使えます。設定した後はログインページに移ります。",
	LinkTitle:    "このリンクは使えません",
	Rules: map[identity.Rule]string{
		identity.LongEnough:   "%d 文字以上にしてください",
		identity.ShortEnough:  "%d バイト以下にしてください",
		identity.HasLowercase: "英小文字を含めてください",
		identity.HasUppercase: "英大文字を含めてください",
		identity.HasDigit:     "数字を含めてください",
		identity.HasSymbol:    "ハイフンや空白などの記号を含めてください",
		identity.Uncommon:     "単語に数字を付けたものやキーの並びなど、多くの人が使うものは避けてください",
		identity.Impersonal:   "自分の名前、メールアドレス、このサービスの名前を含めないでください",
		identity.Fresh:        "最近の %d 個のパスワードとは違うものにしてください",
	},
	OnlyOld: "現在のパスワードとは違うものにしてください",
	Problems: map[Problem]explained{
		LinkSpent:        {"すでに使われたか、期限が切れています。", "このリンクで設定を済ませた場合はログインしてください。そうでない場合は、管理者に新しいリンクを依頼してください。"},
		WrongOldPassword: {"現在のパスワードが違います。", "Caps Lock を確認して、もう一度お試しください。誤りが続くと、アカウントはしばらくロックされます。"},
		NoPasswordChange: {"パスワードはここでは変更できません。", "アカウントが管理されている場所で変更するか、管理者に相談してください。"},
		PasswordRefused:  {"新しいパスワードは使えません。", "別のパスワードを選んでください。"},
	},
}
