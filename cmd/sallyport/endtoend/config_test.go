package endtoend

import (
	"fmt"
	"strings"

	"sallyport/engine"
	"sallyport/engine/record"
)

// configText is what every test begins with. The port of CoA is the same for all NASes.
const configText = `
appliance: {name: 127.0.0.1, state: state}
drain: 5s
listen:
  authentication: ["127.0.0.1:0"]
  accounting: ["127.0.0.1:0"]
  portal: "127.0.0.1:0"
  console: "127.0.0.1:0"
  metrics: "127.0.0.1:0"
nas:
  - {name: asa, address: 127.0.0.1, secret: {file: secret}, recipe: cisco-asa, coa: {port: COAPORT, timeout: 500ms, retries: 3}}
  - {name: strict, address: 127.0.0.2, secret: {file: secret}, recipe: cisco-ios, message-authenticator: require, coa: {port: COAPORT}}
  - {name: deaf, address: 127.0.0.3, secret: {file: secret}, recipe: cisco-asa, coa: {port: COAPORT, timeout: 100ms, retries: 1}}
identity:
  stores: [{name: internal, users-file: users.yaml}]
  mab: {endpoints-file: endpoints.yaml}
posture:
  conditions: {USB_Check: {usb: {mass-storage: absent}}}
  remediations: {USB_Block: {usb: block, mode: automatic, message: "Remove the USB disk; it has been blocked."}}
  requirements: {USB_Block: {os: [windows, linux], conditions: [USB_Check], remediation: USB_Block}}
  policy:
    - {rule: USB check, when: 'endpoint.os != "macos"', requirements: [{name: USB_Block, enforcement: mandatory}]}
authorization:
  dacls:
    PERMIT_ALL_TRAFFIC: ["permit ip any any"]
    LONG: [LONGLINES]
  profiles:
    FullAccess:       {dacl: PERMIT_ALL_TRAFFIC}
    Long:             {dacl: LONG}
    Posture_Redirect: {redirect: {portal: client-provisioning, acl: ACL_WEBAUTH_REDIRECT}}
  rules:
    - {rule: Long_List,                when: 'session.user == "long"', profile: Long}
    - {rule: Compliant_Devices_Access, when: 'session.authenticated && session.posture == "Compliant"', profile: FullAccess}
    - {rule: Posture_Unknown,          when: 'session.posture != "Compliant"', profile: Posture_Redirect}
  default: DenyAccess
`

// longEntries are more than one packet has room for.
const longEntries = 300

func longACL() string {
	lines := make([]string, longEntries)
	for i := range lines {
		lines[i] = fmt.Sprintf("%q", fmt.Sprintf("permit tcp any host 10.%d.%d.1 eq 443", i/250, i%250))
	}
	return strings.Join(lines, ", ")
}

// sessions are those that `sallyport sessions` shows, ended ones too.
func (a *appliance) sessions() []engine.SessionView {
	a.t.Helper()
	return ask[engine.SessionView](a, "sessions", "--filter", "status=*")
}

func (a *appliance) session(id string) engine.SessionView {
	a.t.Helper()
	return ask[engine.SessionView](a, "sessions", id)[0]
}

// rows is the live log, the oldest first.
func (a *appliance) rows() []record.Decision {
	a.t.Helper()
	return ask[record.Decision](a, "livelog", "--last", "10000")
}

// row is the newest row of the live log that fits; nil when there is none.
func (a *appliance) row(fits func(*record.Decision) bool) *record.Decision {
	a.t.Helper()
	all := a.rows()
	for i := len(all) - 1; i >= 0; i-- {
		if fits(&all[i]) {
			return &all[i]
		}
	}
	return nil
}
