// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/secret"
)

// Place is one of the pages of a person who is logged in.
type Place string

// The places, by their paths below the issuer's.
const (
	PlaceHome           Place = "/"
	PlaceLogins         Place = "/account/logins"
	PlacePassword       Place = "/account/password"
	PlaceFactors        Place = "/account/factors"
	PlaceDevice         Place = "/device"
	PlaceAdministration Place = "/admin"
	Elsewhere           Place = "" // a page below one of them
)

// Places are all of them, in their order.
func Places() []Place {
	return []Place{PlaceHome, PlaceLogins, PlacePassword, PlaceFactors, PlaceDevice, PlaceAdministration}
}

// Account is what these pages have in common: who it is, and which of the
// others there are. Their template draws it with {{template "account" .}}.
type Account struct {
	Username string
	Name     string  // may be empty
	Here     Place   // the page that is shown
	Places   []Place // those that are there for this person
}

// Who is the name that the person goes by.
func (a Account) Who() string { return cmp.Or(a.Name, a.Username) }

// Trouble is why a cluster will not take a person.
type Trouble string

// The troubles.
const (
	NoTrouble       Trouble = ""
	NoClient        Trouble = "no-client"        // the cluster's client is missing, or not for this person
	NoToken         Trouble = "no-token"         // no ID token can be made
	NoClaim         Trouble = "no-claim"         // the claim of the user name is missing
	EmailUnverified Trouble = "email-unverified" // API servers want it verified
)

// PortalCluster is a cluster as a person sees it.
type PortalCluster struct {
	Name     string
	Title    string
	Trouble  Trouble
	Claim    string   // of which the API server makes the user name
	Username string   // as the API server will see it
	Groups   []string // as the API server will see them
}

// Usable reports whether a kubeconfig for it makes sense.
func (c PortalCluster) Usable() bool { return c.Trouble != NoClient }

// Portal is the issuer's own page for a person with a session.
type Portal struct {
	Account

	Email    string
	Groups   []string
	Source   string // where the person comes from; empty: this server itself
	Clusters []PortalCluster
	All      bool // one kubeconfig for all is worth a button
}

// Portal writes the page.
func (p *Renderer) Portal(w http.ResponseWriter, r *http.Request, v Portal) {
	p.write(w, r, http.StatusOK, "portal.html", policy(""), v)
}

// PortalEntry is the page of one cluster: its kubeconfig in each form.
type PortalEntry struct {
	Account

	Cluster    PortalCluster
	Server     string
	Namespace  string // of the context; may be empty
	Unfit      bool   // there is none, because the user name cannot be one
	Kubeconfig string // its text; empty if it is not usable
	Commands   []Commands
	Legacy     bool // the form with tokens can be made
}

// Commands are lines for a shell that say the same as a kubeconfig.
type Commands struct {
	Shell string // Linux, macOS; PowerShell; cmd
	Text  secret.String
}

// PortalEntry writes the page.
func (p *Renderer) PortalEntry(w http.ResponseWriter, r *http.Request, v PortalEntry) {
	p.write(w, r, http.StatusOK, "portalcluster.html", policy(""), v)
}

// PortalLegacy is the page about the kubeconfig that holds tokens: first the
// warning and a button, then the kubeconfig.
type PortalLegacy struct {
	Account

	Cluster    PortalCluster
	Kubeconfig secret.String // zero: not made yet
	Commands   []Commands
	Refused    bool // it cannot be made
}

// PortalLegacy writes the page.
func (p *Renderer) PortalLegacy(w http.ResponseWriter, r *http.Request, status int, v PortalLegacy) {
	p.write(w, r, status, "portallegacy.html", policy(""), v)
}

// PortalLogins is the page of the logins of a person: what programs were
// granted, and the browsers.
type PortalLogins struct {
	Account

	Devices  []PortalDevice
	Browsers []PortalBrowser
	Others   bool // there is another browser than this one
	More     bool // there are more, which are not shown
}

// PortalDevice is a grant.
type PortalDevice struct {
	ID      string
	Client  string // as a person knows it
	Device  string // by its own words; may be empty
	Address string
	Created time.Time
	Used    time.Time
}

// PortalBrowser is a session.
type PortalBrowser struct {
	ID      string
	This    bool
	Device  string
	Address string
	Created time.Time // the login
	Used    time.Time
}

// What the forms of the page ask for: the values of the field end. The field
// id says which, where it is about one.
const (
	EndDevice   = "device"
	EndDevices  = "devices"
	EndBrowser  = "browser"
	EndBrowsers = "browsers" // all but this one
)

// PortalLogins writes the page.
func (p *Renderer) PortalLogins(w http.ResponseWriter, r *http.Request, v PortalLogins) {
	p.write(w, r, http.StatusOK, "portallogins.html", policy(""), v)
}

// portalText is the words of these pages.
type portalText struct {
	Account string // the name of the navigation, for who does not see it
	Places  map[Place]string

	You, Source, LocalSource, NoEmail         string
	Clusters, NoClusters, SeenAs, SeenGroups  string
	Download, DownloadAll, NoSecret, MoreWays string

	Plugin, PluginWhat, PluginReleases, PluginArchive    string
	PluginUnix, PluginMacOS, PluginWindows, PluginCheck  string
	Server, Namespace, NamespaceUnfit                    string
	Kubeconfig, TryIt, ShowKubeconfig, OwnKubeconfig     string
	OwnKubeconfigWhat, CommandsFor, NoCommands           string
	Legacy, LegacyWhat, LegacyOpen                       string
	LegacyWarning, LegacyDeprecated, LegacyMake          string
	LegacyOnce, LegacyEnd, LegacyRefused                 string
	Devices, DevicesWhat, NoDevices, UnknownDevice       string
	Browsers, BrowsersWhat, This, From, Began, Used, End string
	EndDevices, EndBrowsers, EndsSoon, MoreLogins        string

	Troubles map[Trouble]explained
}

// Trouble returns the words for one.
func (t portalText) Trouble(trouble Trouble) explained { return t.Troubles[trouble] }

var portalEnglish = portalText{
	Account: "Your account",
	Places: map[Place]string{
		PlaceHome:           "Clusters",
		PlaceLogins:         "Devices and browsers",
		PlacePassword:       "Password",
		PlaceFactors:        "Second factors",
		PlaceDevice:         "Enter a device code",
		PlaceAdministration: "Administration",
	},

	You:         "You",
	Source:      "Account from",
	LocalSource: "this server",
	NoEmail:     "none",
	Clusters:    "Clusters",
	NoClusters:  "There is no cluster for you here. If you expected one, ask your administrator.",
	SeenAs:      "The cluster sees you as",
	SeenGroups:  "in the groups",
	Download:    "Download kubeconfig",
	DownloadAll: "Download one kubeconfig for all clusters",
	NoSecret:    "There is no secret in a kubeconfig from this page. kubectl opens your browser when it needs you to log in.",
	MoreWays:    "Copy it, or add it to your own",

	Plugin:         "Install the plugin",
	PluginWhat:     "kubectl logs in by means of the plugin %s. Every computer on which you use kubectl needs it, once.",
	PluginReleases: "Releases of Tegata",
	PluginArchive:  "Download the archive for your system, and run these lines in the folder in which it is:",
	PluginUnix:     "Linux",
	PluginMacOS:    "macOS",
	PluginWindows:  "Windows (PowerShell)",
	PluginCheck:    "The last line prints the version. If it says that there is no such command, the folder is not in your PATH.",

	Server:            "API server",
	Namespace:         "Namespace",
	NamespaceUnfit:    "none: your user name cannot be the name of a namespace",
	Kubeconfig:        "A kubeconfig of its own",
	TryIt:             "In the folder of the file, this shows who you are to the cluster:",
	ShowKubeconfig:    "Show the text",
	OwnKubeconfig:     "Add it to the kubeconfig that you have",
	OwnKubeconfigWhat: "These lines set the entries of this cluster and the current context, and change nothing else.",
	CommandsFor:       "For %s",
	NoCommands:        "This shell cannot take a value of this cluster as it is. Download the kubeconfig instead.",

	Legacy:           "The older form, with tokens in it",
	LegacyWhat:       "For programs that read auth-provider: oidc from a kubeconfig and cannot run a plugin.",
	LegacyOpen:       "Read this first",
	LegacyWarning:    "This kubeconfig holds tokens. They are secrets: whoever has the file is you. Do not send it to anybody, and keep it out of repositories and backups that others read.",
	LegacyDeprecated: "auth-provider has been deprecated in kubectl for years, and can go with any version. The plugin does all that it does, and keeps secrets out of the file.",
	LegacyMake:       "Make a kubeconfig with tokens",
	LegacyOnce:       "It is shown once. Save it in a file that nobody else can read.",
	LegacyEnd:        "It works until you end it under “Devices and browsers”, or nobody uses it for a while.",
	LegacyRefused:    "It cannot be made for you now. Log in again and try once more, or ask your administrator.",

	Devices:       "Devices",
	DevicesWhat:   "Programs, such as kubectl, that you have let in. They do not ask you again until their login ends.",
	NoDevices:     "No program has a login of yours.",
	UnknownDevice: "a device without a name",
	Browsers:      "Browsers",
	BrowsersWhat:  "Where you are logged in here, with your password or another proof.",
	This:          "this browser",
	From:          "From",
	Began:         "Login",
	Used:          "Last use",
	End:           "End",
	EndDevices:    "End all devices",
	EndBrowsers:   "End all other browsers",
	EndsSoon:      "What has ended gets no new token. A token that a program already holds works until it expires, which is a matter of minutes.",
	MoreLogins:    "There are more; the newest are shown.",

	Troubles: map[Trouble]explained{
		NoClient:        {"This cluster cannot be used at the moment.", "Its client is not registered, or is not for you. Tell your administrator."},
		NoToken:         {"No token can be made for you.", "Tell your administrator; the log says why."},
		NoClaim:         {"The cluster will not let you in: your account lacks what it takes for a user name.", "Ask your administrator to add it."},
		EmailUnverified: {"The cluster will not let you in: your e-mail address is not verified.", "Ask your administrator to verify it."},
	},
}

var portalJapanese = portalText{
	Account: "アカウント",
	Places: map[Place]string{
		PlaceHome:           "クラスター",
		PlaceLogins:         "デバイスとブラウザー",
		PlacePassword:       "パスワード",
		PlaceFactors:        "二要素認証",
		PlaceDevice:         "デバイスのコードを入力",
		PlaceAdministration: "管理",
	},

	You:         "あなたの情報",
	Source:      "アカウントの登録元",
	LocalSource: "このサーバー",
	NoEmail:     "なし",
	Clusters:    "クラスター",
	NoClusters:  "利用できるクラスターはありません。心当たりがある場合は管理者に問い合わせてください。",
	SeenAs:      "クラスターでのユーザー名",
	SeenGroups:  "クラスターでのグループ",
	Download:    "kubeconfig をダウンロード",
	DownloadAll: "全クラスターをまとめた kubeconfig をダウンロード",
	NoSecret:    "このページの kubeconfig に秘密の情報は入っていません。ログインが必要になると、kubectl がブラウザーを開きます。",
	MoreWays:    "コピーする、手元の設定に追加する",

	Plugin:         "プラグインのインストール",
	PluginWhat:     "kubectl はプラグイン %s でログインします。kubectl を使うコンピューターごとに、一度だけインストールしてください。",
	PluginReleases: "Tegata のリリース",
	PluginArchive:  "お使いのシステム用のアーカイブをダウンロードし、そのフォルダーで次の行を実行してください。",
	PluginUnix:     "Linux",
	PluginMacOS:    "macOS",
	PluginWindows:  "Windows（PowerShell）",
	PluginCheck:    "最後の行でバージョンが表示されます。コマンドが見つからないと表示された場合は、フォルダーが PATH に含まれていません。",

	Server:            "API サーバー",
	Namespace:         "名前空間",
	NamespaceUnfit:    "なし（ユーザー名が名前空間の名前として使えないため）",
	Kubeconfig:        "専用の kubeconfig",
	TryIt:             "ファイルのあるフォルダーで次を実行すると、クラスターから見たあなたが表示されます。",
	ShowKubeconfig:    "内容を表示",
	OwnKubeconfig:     "手元の kubeconfig に追加",
	OwnKubeconfigWhat: "次の行は、このクラスターの項目と現在のコンテキストを設定します。ほかの内容は変わりません。",
	CommandsFor:       "%s の場合",
	NoCommands:        "このクラスターの設定値には、このシェルでは正しく渡せないものがあります。kubeconfig をダウンロードしてください。",

	Legacy:           "トークンを含む旧形式",
	LegacyWhat:       "kubeconfig の auth-provider: oidc を読み取り、プラグインを実行できないプログラムのための形式です。",
	LegacyOpen:       "はじめにお読みください",
	LegacyWarning:    "この kubeconfig にはトークンが入っています。トークンは秘密の情報であり、ファイルを手に入れた人は誰でもあなたになりすませます。人に送らず、リポジトリーや他人が読めるバックアップにも置かないでください。",
	LegacyDeprecated: "kubectl の auth-provider は以前から非推奨で、どのバージョンで削除されてもおかしくありません。プラグインなら同じことができ、ファイルに秘密の情報は残りません。",
	LegacyMake:       "トークン入りの kubeconfig を作成",
	LegacyOnce:       "表示されるのは一度だけです。自分だけが読めるファイルに保存してください。",
	LegacyEnd:        "「デバイスとブラウザー」で終了するか、しばらく使われないと無効になります。",
	LegacyRefused:    "現在は作成できません。ログインし直してからもう一度お試しになるか、管理者に問い合わせてください。",

	Devices:       "デバイス",
	DevicesWhat:   "kubectl など、あなたがログインを許可したプログラムです。ログインが終了するまで、再び確認を求めることはありません。",
	NoDevices:     "ログイン中のプログラムはありません。",
	UnknownDevice: "名前のないデバイス",
	Browsers:      "ブラウザー",
	BrowsersWhat:  "パスワードなどで、ここにログインしているブラウザーです。",
	This:          "このブラウザー",
	From:          "接続元",
	Began:         "ログイン",
	Used:          "最後の利用",
	End:           "終了する",
	EndDevices:    "デバイスをすべて終了する",
	EndBrowsers:   "ほかのブラウザーをすべて終了する",
	EndsSoon:      "終了したものは新しいトークンを受け取れません。プログラムがすでに持っているトークンは、期限が切れるまでの数分間は有効です。",
	MoreLogins:    "このほかにもあります。新しいものから表示しています。",

	Troubles: map[Trouble]explained{
		NoClient:        {"現在このクラスターは利用できません。", "クライアントが登録されていないか、あなたは利用できない設定です。管理者に知らせてください。"},
		NoToken:         {"あなたのトークンを発行できません。", "管理者に知らせてください。理由はログに残っています。"},
		NoClaim:         {"クラスターに拒否されます。ユーザー名に使う情報があなたのアカウントにありません。", "管理者に登録を依頼してください。"},
		EmailUnverified: {"クラスターに拒否されます。あなたのメールアドレスが確認されていません。", "管理者に確認を依頼してください。"},
	},
}
