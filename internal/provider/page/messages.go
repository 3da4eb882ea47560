// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"html/template"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
)

// Problem is why a login did not go on, as far as a person is told.
type Problem string

// The problems. NoProblem shows no message.
const (
	NoProblem        Problem = ""
	WrongCredentials Problem = "wrong-credentials"
	UserDisabled     Problem = "user-disabled"
	UserLocked       Problem = "user-locked"
	PasswordExpired  Problem = "password-expired"
	TemporaryExpired Problem = "temporary-expired"
	TooManyAttempts  Problem = "too-many-attempts"
	PageExpired      Problem = "page-expired"
	UnknownClient    Problem = "unknown-client"
	WrongRedirectURI Problem = "wrong-redirect-uri"
	BadRequest       Problem = "bad-request"
	NotFound         Problem = "not-found"
	Unavailable      Problem = "unavailable"
	WrongUserCode    Problem = "wrong-user-code"

	SourceUnavailable Problem = "source-unavailable"
	SourceDenied      Problem = "source-denied"
	NameTaken         Problem = "name-taken"
	PasswordRefused   Problem = "password-refused"
	PasswordsDiffer   Problem = "passwords-differ"
)

// explained is a problem in one language: what happened, and what to try.
type explained struct{ What, Try string }

type messages struct {
	LogIn, LogInTo, Login, Password, LogInButton string
	Source, LocalSource, Or, LogInAt             string
	LoggedInAs, YouMayClose                      string
	Name, Email, Groups, NoGroups, LogOutButton  string
	CannotGoOn, CannotLogOut, Detail, Reference  string
	GoingBack, IfNothingHappens, ContinueButton  string

	ContinueTitle, ContinueAs, WantsLogin, OnlyIfStarted, WillGet string
	OtherButton, CancelButton                                     string

	ExpiredTitle, ExpiredWhy, OldPassword, NewPassword, RepeatPassword, ChangeButton string

	LogOutTitle, YouAre, WantsLogOut, LogOutEnds, StayButton string
	LoggedOut, LoggedOutClose, LoggedOutElsewhere            string

	DeviceTitle, DeviceShowsCode, UserCode             string
	DeviceAsk, DeviceWants, DeviceSameCode, DeviceFrom string
	MinutesAgo, DeviceWarning, AllowButton, DenyButton string
	DeviceAllowed, DeviceAllowedText                   string
	DeviceDenied, DeviceDeniedText                     string

	Factors factorText

	Scopes   map[string]string // what a client gets with them
	Problems map[Problem]explained

	Passwords passwordText
	Portal    portalText
	Console   consoleText
}

// Explain returns the words for a problem.
func (m messages) Explain(p Problem) explained { return m.Problems[p] }

// With puts a name into a sentence, marked up.
func (m messages) With(sentence, name string) template.HTML {
	marked := "<strong>" + template.HTMLEscapeString(name) + "</strong>"
	return template.HTML(strings.Replace(sentence, "%s", marked, 1))
}

// Named is With for where nothing can be marked up: in a button.
func (m messages) Named(sentence, name string) string {
	return strings.Replace(sentence, "%s", name, 1)
}

var english = messages{
	Passwords: passwordEnglish,
	Portal:    portalEnglish,
	Console:   consoleEnglish,

	LogIn:        "Log in",
	LogInTo:      "to continue to %s",
	Login:        "User name or e-mail address",
	Password:     "Password",
	LogInButton:  "Log in",
	Source:       "Account",
	LocalSource:  "An account of this service",
	Or:           "or",
	LogInAt:      "Log in with %s",
	LoggedInAs:   "User name",
	YouMayClose:  "You can close this tab. Applications that send you here will not ask for your password again in this browser.",
	Name:         "Name",
	Email:        "E-mail address",
	Groups:       "Groups",
	NoGroups:     "none",
	LogOutButton: "Log out",
	CannotGoOn:   "This login cannot go on",
	CannotLogOut: "This logout cannot go on",
	Detail:       "For whoever runs the application:",
	Reference:    "Reference for your administrator:",

	GoingBack:        "Going back to the application",
	IfNothingHappens: "If nothing happens, press the button.",
	ContinueButton:   "Continue",

	ContinueTitle: "Continue?",
	ContinueAs:    "Continue as %s?",
	WantsLogin:    "%s wants to use your login.",
	OnlyIfStarted: "Continue only if you have just started it yourself. Any program on this computer can use its name.",
	WillGet:       "It will get:",
	OtherButton:   "Log in as somebody else",
	CancelButton:  "Cancel",

	ExpiredTitle:   "Choose a new password",
	ExpiredWhy:     "Your password must be changed before you can go on.",
	OldPassword:    "Password until now",
	NewPassword:    "New password",
	RepeatPassword: "New password, once more",
	ChangeButton:   "Change and continue",

	LogOutTitle:    "Log out?",
	YouAre:         "You are logged in as %s.",
	WantsLogOut:    "%s asks to log you out.",
	LogOutEnds:     "The applications that you opened with this login in this browser will ask you to log in again.",
	StayButton:     "Stay logged in",
	LoggedOut:      "You are logged out",
	LoggedOutClose: "You can close this tab.",

	LoggedOutElsewhere: "Your login at the place where your account is kept ends as well.",

	DeviceTitle:       "Log in on a device",
	DeviceShowsCode:   "The device, or the program in your terminal, shows a code.",
	UserCode:          "Code",
	DeviceAsk:         "Log in on the device as %s?",
	DeviceWants:       "%s on another device wants to log in as you.",
	DeviceSameCode:    "The device must show this code",
	DeviceFrom:        "It asked from",
	MinutesAgo:        "%d min ago",
	DeviceWarning:     "Allow it only if you have just started it yourself. If somebody sent you here, refuse: they would get your access.",
	AllowButton:       "Allow",
	DenyButton:        "Refuse",
	DeviceAllowed:     "The device is logged in",
	DeviceAllowedText: "Go back to %s. You can close this tab.",
	DeviceDenied:      "The device was refused",
	DeviceDeniedText:  "%s gets nothing. You can close this tab.",

	Factors: factorEnglish,

	Scopes: map[string]string{
		oidc.ScopeProfile:       "your user name and your full name",
		oidc.ScopeEmail:         "your e-mail address",
		oidc.ScopeGroups:        "the groups that you are in",
		oidc.ScopeOfflineAccess: "access that goes on after you have logged out here",
	},
	Problems: map[Problem]explained{
		WrongCredentials: {"The user name or the password is wrong.", "Check both, and the Caps Lock key, then try again. After many wrong passwords an account is locked for a while."},
		UserDisabled:     {"This user is disabled.", "Ask your administrator to enable it."},
		UserLocked:       {"This account is locked for now.", "There were too many wrong passwords. Wait a while, or ask your administrator to unlock it."},
		PasswordExpired:  {"Your password has expired.", "Change it where you usually do, then come back and log in with the new one."},
		TemporaryExpired: {"Your temporary password has expired.", "Ask your administrator for another one."},
		TooManyAttempts:  {"There were too many attempts.", "Wait half a minute, then try again."},
		PageExpired:      {"This login page has expired or belongs to another browser.", "Go back to the application and start again. Cookies must be allowed for this site."},
		UnknownClient:    {"The application that sent you here is not registered.", "Check the client ID in its settings, or ask your administrator to register it."},
		WrongRedirectURI: {"The application wants the answer at an address that is not registered for it.", "Ask your administrator to register the address, or correct it in the settings of the application."},
		BadRequest:       {"The application sent a request that cannot be understood.", "Go back to the application and start again."},
		NotFound:         {"There is no page at this address.", "Go back to the application and start again."},
		Unavailable:      {"The login service cannot answer right now.", "Try again in a moment. If it stays so, tell your administrator."},
		WrongUserCode:    {"This code is unknown, was used, or has expired.", "Check it on the device, or start again there."},

		SourceUnavailable: {"The place where your account is kept does not answer.", "Try again in a moment. If it stays so, tell your administrator."},
		SourceDenied:      {"You may not log in here with this account.", "Use another account, or ask your administrator."},
		NameTaken:         {"Somebody else has your name here already.", "Log in with the account that you used before, or tell your administrator."},
		PasswordRefused:   {"The new password was refused.", "Choose another one: longer, and not one that you had before."},
		PasswordsDiffer:   {"The two new passwords are not the same.", "Type the new password twice."},
	},
}

var japanese = messages{
	Passwords: passwordJapanese,
	Portal:    portalJapanese,
	Console:   consoleJapanese,

	LogIn:        "ログイン",
	LogInTo:      "%s に進むにはログインしてください",
	Login:        "ユーザー名またはメールアドレス",
	Password:     "パスワード",
	LogInButton:  "ログイン",
	Source:       "アカウントの種類",
	LocalSource:  "このサービスのアカウント",
	Or:           "または",
	LogInAt:      "%s でログイン",
	LoggedInAs:   "ユーザー名",
	YouMayClose:  "このタブは閉じてかまいません。このブラウザーでは、ほかのアプリケーションからログインを求められても、パスワードを再入力する必要はありません。",
	Name:         "氏名",
	Email:        "メールアドレス",
	Groups:       "グループ",
	NoGroups:     "なし",
	LogOutButton: "ログアウト",
	CannotGoOn:   "ログインを続けられません",
	CannotLogOut: "ログアウトを続けられません",
	Detail:       "アプリケーションの管理者向け：",
	Reference:    "管理者に伝える照会番号：",

	GoingBack:        "アプリケーションに戻ります",
	IfNothingHappens: "画面が変わらない場合は、ボタンを押してください。",
	ContinueButton:   "続ける",

	ContinueTitle: "続けますか？",
	ContinueAs:    "%s のまま続けますか？",
	WantsLogin:    "%s がこのログインの利用を求めています。",
	OnlyIfStarted: "ご自身が今起動したものである場合だけ続けてください。この名前は、このコンピューターのどのプログラムでも名乗れます。",
	WillGet:       "次の情報が渡されます：",
	OtherButton:   "別のユーザーでログイン",
	CancelButton:  "キャンセル",

	ExpiredTitle:   "新しいパスワードの設定",
	ExpiredWhy:     "続けるには、パスワードの変更が必要です。",
	OldPassword:    "現在のパスワード",
	NewPassword:    "新しいパスワード",
	RepeatPassword: "新しいパスワード（確認）",
	ChangeButton:   "変更して続ける",

	LogOutTitle:    "ログアウトしますか？",
	YouAre:         "%s としてログインしています。",
	WantsLogOut:    "%s がログアウトを求めています。",
	LogOutEnds:     "このブラウザーで開いたアプリケーションは、次に使うときに再びログインが必要になります。",
	StayButton:     "ログインしたままにする",
	LoggedOut:      "ログアウトしました",
	LoggedOutClose: "このタブは閉じてかまいません。",

	LoggedOutElsewhere: "アカウントの管理元からもログアウトします。",

	DeviceTitle:       "デバイスでログイン",
	DeviceShowsCode:   "デバイスまたはターミナルのプログラムに表示されているコードを入力してください。",
	UserCode:          "コード",
	DeviceAsk:         "%s としてログインさせますか？",
	DeviceWants:       "別のデバイスの %s が、あなたとしてのログインを求めています。",
	DeviceSameCode:    "デバイスに表示されているはずのコード",
	DeviceFrom:        "要求元",
	MinutesAgo:        "%d 分前",
	DeviceWarning:     "ご自身が今始めたものである場合だけ許可してください。誰かに案内されてこのページを開いた場合は拒否してください。許可すると、その相手があなたの権限を使えるようになります。",
	AllowButton:       "許可する",
	DenyButton:        "拒否する",
	DeviceAllowed:     "デバイスでログインしました",
	DeviceAllowedText: "%s に戻ってください。このタブは閉じてかまいません。",
	DeviceDenied:      "デバイスを拒否しました",
	DeviceDeniedText:  "%s には何も渡されません。このタブは閉じてかまいません。",

	Factors: factorJapanese,

	Scopes: map[string]string{
		oidc.ScopeProfile:       "ユーザー名と氏名",
		oidc.ScopeEmail:         "メールアドレス",
		oidc.ScopeGroups:        "所属しているグループ",
		oidc.ScopeOfflineAccess: "ここでログアウトした後も続くアクセス",
	},
	Problems: map[Problem]explained{
		WrongCredentials: {"ユーザー名またはパスワードが違います。", "入力内容と Caps Lock を確認して、もう一度お試しください。誤りが続くと、アカウントはしばらくロックされます。"},
		UserDisabled:     {"このユーザーは無効になっています。", "管理者に有効化を依頼してください。"},
		UserLocked:       {"このアカウントは一時的にロックされています。", "パスワードの誤りが続きました。しばらく待つか、管理者にロックの解除を依頼してください。"},
		PasswordExpired:  {"パスワードの有効期限が切れています。", "いつもの方法でパスワードを変更してから、新しいパスワードでログインしてください。"},
		TemporaryExpired: {"仮パスワードの有効期限が切れています。", "管理者に新しいパスワードの発行を依頼してください。"},
		TooManyAttempts:  {"試行回数が多すぎます。", "30 秒ほど待ってから、もう一度お試しください。"},
		PageExpired:      {"このログインページは期限切れか、別のブラウザーで開かれたものです。", "アプリケーションに戻ってやり直してください。このサイトの Cookie を許可する必要があります。"},
		UnknownClient:    {"このアプリケーションは登録されていません。", "設定のクライアント ID を確認するか、管理者に登録を依頼してください。"},
		WrongRedirectURI: {"アプリケーションが指定した戻り先アドレスは登録されていません。", "管理者に登録を依頼するか、アプリケーションの設定を修正してください。"},
		BadRequest:       {"アプリケーションからの要求を解釈できません。", "アプリケーションに戻ってやり直してください。"},
		NotFound:         {"このアドレスにページはありません。", "アプリケーションに戻ってやり直してください。"},
		Unavailable:      {"ただいまログインサービスを利用できません。", "しばらくしてからもう一度お試しください。続く場合は管理者に連絡してください。"},
		WrongUserCode:    {"このコードは登録されていないか、使用済みか、期限切れです。", "デバイスの表示を確認するか、デバイスで最初からやり直してください。"},

		SourceUnavailable: {"アカウントの管理元が応答していません。", "しばらくしてからもう一度お試しください。続く場合は管理者に連絡してください。"},
		SourceDenied:      {"このアカウントではログインできません。", "別のアカウントを使うか、管理者に相談してください。"},
		NameTaken:         {"同じ名前のユーザーがすでに登録されています。", "以前に使ったアカウントでログインするか、管理者に連絡してください。"},
		PasswordRefused:   {"新しいパスワードは使えません。", "もっと長く、以前に使ったことのないものを選んでください。"},
		PasswordsDiffer:   {"新しいパスワードが一致しません。", "同じ新しいパスワードを 2 回入力してください。"},
	},
}
