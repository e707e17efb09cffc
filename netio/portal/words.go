package portal

import (
	"strconv"
	"strings"
)

// words are the texts of the pages in one language.
type words struct {
	Lang string

	// what stands above, by state: label, heading, lead
	Unchecked, Checking, Missing, Passed, NotNeeded, Generic, NotFound, Busy, Broken [3]string

	WrongHeading, Unmet                                string
	TodoHeading, StepDownload, Download                string
	ChooseSystem, NoAgents, OtherSystems               string
	VerifyHeading, Verify                              string
	RunWindows, RunTerminal, RunOther                  string
	FirstChecking, FirstUnmet                          string
	StepLeaveOpen, StepLookAgain, StepOpenAny, LookNow string
	WhyHeading, Why, Looks                             string
	HelpHeading, Help, Footer                          string
	LoopHeading, ForAdministrator                      string
	Loops                                              [causes]string // by cause
}

var english = &words{
	Lang: "en",
	Unchecked: [3]string{"Not checked yet", "One check before you are connected",
		"This network lets a computer in when it has shown that it is in good order. Yours has not been checked yet, so for now little more than this page can be reached."},
	Checking: [3]string{"Being checked", "Your computer is being checked",
		"The agent on your computer has reached this network. The result takes a few seconds as a rule."},
	Missing: [3]string{"Not let in yet", "Something on your computer has to change",
		"Your computer was checked. This network cannot let it in as it is; what is missing is listed below."},
	Passed: [3]string{"Passed", "You may go on",
		"Your computer passed the check and the network is being opened for it. Go back to what you wanted to do; if a page does not load at once, try it again in a few seconds."},
	NotNeeded: [3]string{"No check needed", "You may go on",
		"This network asks nothing of your computer. Go back to what you wanted to do; if a page does not load at once, try it again in a few seconds."},
	Generic: [3]string{"", "This network checks computers before it lets them in",
		"This page cannot tell which computer is yours: the address it was opened with is incomplete or too old. Open any web address; if your computer has to be checked, the network brings you back here with a new one."},
	NotFound: [3]string{"", "There is no such page",
		"The address leads to nothing on this appliance. Open any web address; if your computer has to be checked, the network brings you to the right page."},
	Busy: [3]string{"", "Too much at once",
		"More requests came from your address than this appliance answers. Wait a moment, then load the page again."},
	Broken: [3]string{"", "This did not work",
		"The appliance could not answer this request. Load the page again; if that does not help, tell your help desk."},
	WrongHeading: "What has to change", Unmet: "Not met:",
	TodoHeading: "What to do", StepDownload: "Download the agent. If it is installed already, start it and skip to the last step.",
	Download: "Download for", ChooseSystem: "Choose your system below.",
	NoAgents:     "No agent can be downloaded here. Your help desk has it.",
	OtherSystems: "All systems", VerifyHeading: "Check the download",
	Verify:        "This command has to print the value below. If it prints another one, do not open the file and tell your help desk.",
	RunWindows:    "Open a terminal as administrator in the folder of the download, and run it there. The agent finds this appliance by itself.",
	RunTerminal:   "Run it in a terminal, in the folder of the download. The agent finds this appliance by itself.",
	RunOther:      "Run it as administrator. The agent finds this appliance by itself.",
	FirstChecking: "Let the agent run. There is nothing else to do.",
	FirstUnmet:    "Change what is missing. The agent notices and reports it by itself.",
	StepLeaveOpen: "Leave this page open. It looks again every few seconds and says when you may go on.",
	StepLookAgain: "Then look here again.",
	StepOpenAny:   "Then open any web address.",
	LookNow:       "Look again now", WhyHeading: "Why this page?",
	Why:         "A computer that is not in good order can harm others on the same network. This check keeps that from happening, and ends when you leave the network.",
	Looks:       "The agent reports what the rules of this network ask for, such as USB storage that is plugged in, and the name and system of your computer. What is in your files is not sent.",
	HelpHeading: "Need help?", Help: "Give your help desk this reference:",
	Footer:           "Sallyport, network access with posture checks",
	LoopHeading:      "You have been sent here several times in a row",
	ForAdministrator: "For the administrator: ",
	Loops: [causes]string{
		causeName: "For the administrator: this page was opened by a name that its certificate does not carry, so the agent refuses it. " +
			"The name in the redirect URL has to be in the certificate of the appliance.",
		causeStale: "For the administrator: the network device redirects with a session that this appliance does not know, or that is over. " +
			"The session has to be cleared on the device, or the redirect leads to another appliance than the one that answers its RADIUS.",
		causePassed: "For the administrator: the check is passed, yet the network device still redirects. " +
			"The change of authorization did not take effect there, or its redirect ACL was not taken away.",
		causeRedirectACL: "For the administrator: the network device redirects what goes to this appliance itself. " +
			"The redirect ACL has to leave out the address and port of the appliance.",
		causeTrust: "For the administrator: a program on this computer refuses the certificate of the appliance. " +
			"The agent needs its pin or its certificate authority.",
		causeDNS: "For the administrator: the name in the redirect URL does not resolve where the appliance is. " +
			"DNS has to know it, and the redirect ACL has to let DNS pass.",
		causeUnheard: "For the administrator: no agent of this computer has reached this appliance. The agent has to run, the redirect ACL has to let DNS " +
			"and all traffic to the appliance pass without redirect, and its name has to resolve on this network.",
	},
}

var portuguese = &words{
	Lang: "pt",
	Unchecked: [3]string{"Ainda não verificado", "Uma verificação antes de conectar você",
		"Esta rede deixa entrar um computador depois que ele mostra que está em ordem. O seu ainda não foi verificado; por enquanto, quase só esta página pode ser acessada."},
	Checking: [3]string{"Em verificação", "Seu computador está sendo verificado",
		"O agente no seu computador chegou a esta rede. O resultado costuma levar alguns segundos."},
	Missing: [3]string{"Ainda sem acesso", "Algo no seu computador precisa mudar",
		"Seu computador foi verificado. Esta rede não pode deixá-lo entrar como está; veja abaixo o que falta."},
	Passed: [3]string{"Aprovado", "Você pode continuar",
		"Seu computador passou na verificação e a rede está sendo aberta para ele. Volte ao que queria fazer; se uma página não abrir logo, tente de novo em alguns segundos."},
	NotNeeded: [3]string{"Sem verificação", "Você pode continuar",
		"Esta rede não exige nada do seu computador. Volte ao que queria fazer; se uma página não abrir logo, tente de novo em alguns segundos."},
	Generic: [3]string{"", "Esta rede verifica os computadores antes de deixá-los entrar",
		"Esta página não sabe qual é o seu computador: o endereço com que foi aberta está incompleto ou é antigo demais. Abra qualquer endereço da web; se o seu computador precisar ser verificado, a rede traz você de volta com um novo."},
	NotFound: [3]string{"", "Esta página não existe",
		"O endereço não leva a nada neste equipamento. Abra qualquer endereço da web; se o seu computador precisar ser verificado, a rede leva você à página certa."},
	Busy: [3]string{"", "Pedidos demais ao mesmo tempo",
		"Do seu endereço vieram mais pedidos do que este equipamento responde. Espere um momento e carregue a página de novo."},
	Broken: [3]string{"", "Isto não funcionou",
		"O equipamento não conseguiu responder a este pedido. Carregue a página de novo; se não ajudar, avise o suporte."},
	WrongHeading: "O que precisa mudar", Unmet: "Não atendido:",
	TodoHeading: "O que fazer", StepDownload: "Baixe o agente. Se ele já estiver instalado, inicie-o e vá para o último passo.",
	Download: "Baixar para", ChooseSystem: "Escolha abaixo o seu sistema.",
	NoAgents:     "Nenhum agente pode ser baixado aqui. O suporte tem o agente.",
	OtherSystems: "Todos os sistemas", VerifyHeading: "Conferir o arquivo baixado",
	Verify:        "Este comando deve mostrar o valor abaixo. Se mostrar outro, não abra o arquivo e avise o suporte.",
	RunWindows:    "Abra um terminal como administrador na pasta do arquivo baixado e execute-o ali. O agente encontra este equipamento sozinho.",
	RunTerminal:   "Execute-o em um terminal, na pasta do arquivo baixado. O agente encontra este equipamento sozinho.",
	RunOther:      "Execute-o como administrador. O agente encontra este equipamento sozinho.",
	FirstChecking: "Deixe o agente funcionar. Não há mais nada a fazer.",
	FirstUnmet:    "Mude o que falta. O agente percebe e informa sozinho.",
	StepLeaveOpen: "Deixe esta página aberta. Ela confere de novo a cada poucos segundos e avisa quando você pode continuar.",
	StepLookAgain: "Depois, confira aqui de novo.",
	StepOpenAny:   "Depois, abra qualquer endereço da web.",
	LookNow:       "Conferir agora", WhyHeading: "Por que esta página?",
	Why:         "Um computador que não está em ordem pode prejudicar outros na mesma rede. Esta verificação evita isso e termina quando você sai da rede.",
	Looks:       "O agente informa o que as regras desta rede pedem, como armazenamento USB conectado, e o nome e o sistema do seu computador. O conteúdo dos seus arquivos não é enviado.",
	HelpHeading: "Precisa de ajuda?", Help: "Informe esta referência ao suporte:",
	Footer:           "Sallyport, acesso à rede com verificação de postura",
	LoopHeading:      "Você foi trazido para cá várias vezes seguidas",
	ForAdministrator: "Para o administrador: ",
	Loops: [causes]string{
		causeName: "Para o administrador: esta página foi aberta por um nome que não está no certificado, por isso o agente a recusa. " +
			"O nome na URL de redirecionamento precisa estar no certificado do equipamento.",
		causeStale: "Para o administrador: o dispositivo de rede redireciona com uma sessão que este equipamento não conhece ou que já terminou. " +
			"A sessão precisa ser removida no dispositivo, ou o redirecionamento leva a outro equipamento que não o que responde ao RADIUS dele.",
		causePassed: "Para o administrador: a verificação foi aprovada, mas o dispositivo de rede ainda redireciona. " +
			"A mudança de autorização (CoA) não teve efeito nele, ou a ACL de redirecionamento não foi retirada.",
		causeRedirectACL: "Para o administrador: o dispositivo de rede redireciona o que vai para este próprio equipamento. " +
			"A ACL de redirecionamento precisa deixar de fora o endereço e a porta do equipamento.",
		causeTrust: "Para o administrador: um programa neste computador recusa o certificado do equipamento. " +
			"O agente precisa do pin dele ou da sua autoridade certificadora.",
		causeDNS: "Para o administrador: o nome na URL de redirecionamento não é resolvido onde está o equipamento. " +
			"O DNS precisa conhecê-lo, e a ACL de redirecionamento precisa deixar o DNS passar.",
		causeUnheard: "Para o administrador: nenhum agente deste computador chegou a este equipamento. O agente precisa estar em execução, a ACL de redirecionamento " +
			"precisa deixar passar, sem redirecionar, o DNS e todo o tráfego para o equipamento, e o nome dele precisa ser resolvido nesta rede.",
	},
}

// language picks the words by Accept-Language (RFC 9110 section 12.5.4): the language
// with the highest weight that we have, the first of equals, English when none is.
func language(header string) *words {
	if len(header) > acceptLanguageMax {
		return english
	}
	best, weight := english, 0.0
	for one := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.ToLower(strings.TrimSpace(one)), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || n < 0 || n > 1 {
				continue
			}
			q = n
		}
		primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		switch {
		case q <= weight:
		case primary == "pt":
			best, weight = portuguese, q
		case primary == "en":
			best, weight = english, q
		}
	}
	return best
}
