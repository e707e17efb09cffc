// Code generated from dictionary.txt by go generate; DO NOT EDIT.

package radius

// The attribute types, named as the RFCs name them, without hyphens.
const (
	UserName                      Type = 1
	UserPassword                  Type = 2
	CHAPPassword                  Type = 3
	NASIPAddress                  Type = 4
	NASPort                       Type = 5
	ServiceType                   Type = 6
	FramedProtocol                Type = 7
	FramedIPAddress               Type = 8
	FramedIPNetmask               Type = 9
	FramedRouting                 Type = 10
	FilterID                      Type = 11
	FramedMTU                     Type = 12
	FramedCompression             Type = 13
	LoginIPHost                   Type = 14
	LoginService                  Type = 15
	LoginTCPPort                  Type = 16
	ReplyMessage                  Type = 18
	CallbackNumber                Type = 19
	CallbackID                    Type = 20
	FramedRoute                   Type = 22
	FramedIPXNetwork              Type = 23
	State                         Type = 24
	Class                         Type = 25
	VendorSpecific                Type = 26
	SessionTimeout                Type = 27
	IdleTimeout                   Type = 28
	TerminationAction             Type = 29
	CalledStationID               Type = 30
	CallingStationID              Type = 31
	NASIdentifier                 Type = 32
	ProxyState                    Type = 33
	LoginLATService               Type = 34
	LoginLATNode                  Type = 35
	LoginLATGroup                 Type = 36
	FramedAppleTalkLink           Type = 37
	FramedAppleTalkNetwork        Type = 38
	FramedAppleTalkZone           Type = 39
	CHAPChallenge                 Type = 60
	NASPortType                   Type = 61
	PortLimit                     Type = 62
	LoginLATPort                  Type = 63
	AcctStatusType                Type = 40
	AcctDelayTime                 Type = 41
	AcctInputOctets               Type = 42
	AcctOutputOctets              Type = 43
	AcctSessionID                 Type = 44
	AcctAuthentic                 Type = 45
	AcctSessionTime               Type = 46
	AcctInputPackets              Type = 47
	AcctOutputPackets             Type = 48
	AcctTerminateCause            Type = 49
	AcctMultiSessionID            Type = 50
	AcctLinkCount                 Type = 51
	TunnelType                    Type = 64
	TunnelMediumType              Type = 65
	TunnelClientEndpoint          Type = 66
	TunnelServerEndpoint          Type = 67
	AcctTunnelConnection          Type = 68
	TunnelPassword                Type = 69
	TunnelPrivateGroupID          Type = 81
	TunnelAssignmentID            Type = 82
	TunnelPreference              Type = 83
	AcctTunnelPacketsLost         Type = 86
	TunnelClientAuthID            Type = 90
	TunnelServerAuthID            Type = 91
	AcctInputGigawords            Type = 52
	AcctOutputGigawords           Type = 53
	EventTimestamp                Type = 55
	ARAPPassword                  Type = 70
	ARAPFeatures                  Type = 71
	ARAPZoneAccess                Type = 72
	ARAPSecurity                  Type = 73
	ARAPSecurityData              Type = 74
	PasswordRetry                 Type = 75
	Prompt                        Type = 76
	ConnectInfo                   Type = 77
	ConfigurationToken            Type = 78
	EAPMessage                    Type = 79
	MessageAuthenticator          Type = 80
	ARAPChallengeResponse         Type = 84
	AcctInterimInterval           Type = 85
	NASPortID                     Type = 87
	FramedPool                    Type = 88
	NASIPv6Address                Type = 95
	FramedInterfaceID             Type = 96
	FramedIPv6Prefix              Type = 97
	LoginIPv6Host                 Type = 98
	FramedIPv6Route               Type = 99
	FramedIPv6Pool                Type = 100
	DelegatedIPv6Prefix           Type = 123
	FramedIPv6Address             Type = 168
	EgressVLANID                  Type = 56
	IngressFilters                Type = 57
	EgressVLANName                Type = 58
	UserPriorityTable             Type = 59
	ChargeableUserIdentity        Type = 89
	NASFilterRule                 Type = 92
	ErrorCause                    Type = 101
	EAPKeyName                    Type = 102
	OperatorName                  Type = 126
	LocationInformation           Type = 127
	LocationData                  Type = 128
	BasicLocationPolicyRules      Type = 129
	ExtendedLocationPolicyRules   Type = 130
	LocationCapable               Type = 131
	RequestedLocationInfo         Type = 132
	FramedManagementProtocol      Type = 133
	ManagementTransportProtection Type = 134
	ManagementPolicyID            Type = 135
	ManagementPrivilegeLevel      Type = 136
	NetworkIDName                 Type = 179
	WLANSSIDHESSID                Type = 181
	WLANPairwiseCipher            Type = 186
	WLANGroupCipher               Type = 187
	WLANAKMSuite                  Type = 188
)

// The vendors, by their enterprise numbers.
const (
	VendorCisco     uint32 = 9
	VendorASA       uint32 = 3076
	VendorMicrosoft uint32 = 311
	VendorAruba     uint32 = 14823
	VendorJuniper   uint32 = 2636
	VendorAirespace uint32 = 14179
	VendorFortinet  uint32 = 12356
	VendorMikroTik  uint32 = 14988
	VendorRuckus    uint32 = 25053
	VendorWFA       uint32 = 40808
	VendorHP        uint32 = 11
	VendorMeraki    uint32 = 29671
)

// The vendors' attribute types.
const (
	CiscoAVPair                    byte = 1
	CiscoNASPort                   byte = 2
	CiscoPolicyUp                  byte = 37
	CiscoPolicyDown                byte = 38
	CiscoInACL                     byte = 57
	CiscoOutACL                    byte = 58
	CiscoAccountInfo               byte = 250
	CiscoServiceInfo               byte = 251
	CiscoCommandCode               byte = 252
	CiscoControlInfo               byte = 253
	ASASimultaneousLogins          byte = 2
	ASAPrimaryDNS                  byte = 5
	ASASecondaryDNS                byte = 6
	ASAPrimaryWINS                 byte = 7
	ASASecondaryWINS               byte = 8
	ASATunnelingProtocols          byte = 11
	ASABanner1                     byte = 15
	ASAGroupPolicy                 byte = 25
	ASAIPsecSplitTunnelList        byte = 27
	ASAIPsecDefaultDomain          byte = 28
	ASAIPsecSplitDNSNames          byte = 29
	ASABanner2                     byte = 36
	ASAIPsecSplitTunnelingPolicy   byte = 55
	ASADHCPNetworkScope            byte = 61
	ASATunnelGroupLock             byte = 85
	ASAAccessListInbound           byte = 86
	ASAAccessListOutbound          byte = 87
	ASAVLAN                        byte = 140
	ASAMemberOf                    byte = 145
	ASATunnelGroupName             byte = 146
	ASAClientType                  byte = 150
	ASASessionType                 byte = 151
	ASASessionSubtype              byte = 152
	ASAAddressPools                byte = 217
	ASAIPv6AddressPools            byte = 218
	ASAIPv6VPNFilter               byte = 219
	ASAPrivilegeLevel              byte = 220
	MSCHAPResponse                 byte = 1
	MSCHAPError                    byte = 2
	MSCHAPNTEncPW                  byte = 6
	MSMPPEEncryptionPolicy         byte = 7
	MSMPPEEncryptionTypes          byte = 8
	MSCHAPDomain                   byte = 10
	MSCHAPChallenge                byte = 11
	MSCHAPMPPEKeys                 byte = 12
	MSMPPESendKey                  byte = 16
	MSMPPERecvKey                  byte = 17
	MSCHAP2Response                byte = 25
	MSCHAP2Success                 byte = 26
	MSCHAP2CPW                     byte = 27
	MSPrimaryDNSServer             byte = 28
	MSSecondaryDNSServer           byte = 29
	ArubaUserRole                  byte = 1
	ArubaUserVlan                  byte = 2
	ArubaEssidName                 byte = 5
	ArubaLocationID                byte = 6
	ArubaPortIdentifier            byte = 7
	ArubaNamedUserVlan             byte = 9
	ArubaAPGroup                   byte = 10
	ArubaDeviceType                byte = 12
	ArubaCPPMRole                  byte = 23
	ArubaAPIPAddress               byte = 34
	ArubaPortBounceHost            byte = 40
	ArubaCaptivePortalURL          byte = 43
	ArubaNASFilterRule             byte = 51
	ArubaUBTGatewayRole            byte = 53
	JuniperLocalUserName           byte = 1
	JuniperFirewallFilterName      byte = 44
	JuniperSwitchingFilter         byte = 48
	JuniperVoIPVlan                byte = 49
	JuniperCWARedirect             byte = 50
	JuniperAVPair                  byte = 52
	AirespaceWlanID                byte = 1
	AirespaceQOSLevel              byte = 2
	AirespaceDSCP                  byte = 3
	Airespace8021pTag              byte = 4
	AirespaceInterfaceName         byte = 5
	AirespaceACLName               byte = 6
	AirespaceGuestRoleName         byte = 11
	FortinetGroupName              byte = 1
	FortinetClientIPAddress        byte = 2
	FortinetVdomName               byte = 3
	FortinetInterfaceName          byte = 5
	FortinetAccessProfile          byte = 6
	FortinetSSID                   byte = 7
	FortinetAPName                 byte = 8
	FortinetHostPortAVPair         byte = 42
	MikrotikRecvLimit              byte = 1
	MikrotikXmitLimit              byte = 2
	MikrotikGroup                  byte = 3
	MikrotikRateLimit              byte = 8
	MikrotikMarkID                 byte = 11
	MikrotikAdvertiseURL           byte = 12
	MikrotikAddressList            byte = 19
	MikrotikWirelessVLANID         byte = 26
	MikrotikSwitchingFilter        byte = 30
	RuckusUserGroups               byte = 1
	RuckusSSID                     byte = 3
	RuckusWlanID                   byte = 4
	RuckusLocation                 byte = 5
	RuckusVLANID                   byte = 9
	RuckusFlexAuthAVP              byte = 20
	RuckusWisprRedirectPolicy      byte = 132
	RuckusZoneName                 byte = 134
	RuckusWlanName                 byte = 135
	WFAHS20SubscriptionRemediation byte = 1
	WFAHS20APVersion               byte = 2
	WFAHS20MobileDeviceVersion     byte = 3
	WFAHS20DeauthenticationRequest byte = 4
	WFAHS20SessionInformationURL   byte = 5
	WFAHS20RoamingConsortium       byte = 6
	WFAHS20TCFilename              byte = 7
	WFAHS20TCTimestamp             byte = 8
	WFAHS20TCFiltering             byte = 9
	WFAHS20TCURL                   byte = 10
	HPPrivilegeLevel               byte = 1
	HPCommandString                byte = 2
	HPPortBounceHost               byte = 23
	HPCaptivePortalURL             byte = 24
	HPUserRole                     byte = 25
	HPCPPMRole                     byte = 27
	HPNasFilterRule                byte = 61
	HPAccessProfile                byte = 62
	HPEgressVLANID                 byte = 64
	HPEgressVLANName               byte = 65
	MerakiDeviceName               byte = 1
	MerakiNetworkName              byte = 2
	MerakiAPName                   byte = 3
	MerakiAPTags                   byte = 4
)

// The values of enumerated attributes.
const (
	ServiceTypeLogin                               uint32 = 1
	ServiceTypeFramed                              uint32 = 2
	ServiceTypeCallbackLogin                       uint32 = 3
	ServiceTypeCallbackFramed                      uint32 = 4
	ServiceTypeOutbound                            uint32 = 5
	ServiceTypeAdministrative                      uint32 = 6
	ServiceTypeNASPrompt                           uint32 = 7
	ServiceTypeAuthenticateOnly                    uint32 = 8
	ServiceTypeCallbackNASPrompt                   uint32 = 9
	ServiceTypeCallCheck                           uint32 = 10
	ServiceTypeCallbackAdministrative              uint32 = 11
	ServiceTypeAuthorizeOnly                       uint32 = 17
	ServiceTypeFramedManagement                    uint32 = 18
	FramedProtocolPPP                              uint32 = 1
	FramedProtocolSLIP                             uint32 = 2
	TerminationActionDefault                       uint32 = 0
	TerminationActionRADIUSRequest                 uint32 = 1
	NASPortTypeAsync                               uint32 = 0
	NASPortTypeSync                                uint32 = 1
	NASPortTypeISDN                                uint32 = 2
	NASPortTypeVirtual                             uint32 = 5
	NASPortTypePIAFS                               uint32 = 6
	NASPortTypeADSLDMT                             uint32 = 13
	NASPortTypeEthernet                            uint32 = 15
	NASPortTypeXDSL                                uint32 = 16
	NASPortTypeCable                               uint32 = 17
	NASPortTypeWirelessOther                       uint32 = 18
	NASPortTypeWireless80211                       uint32 = 19
	NASPortTypeTokenRing                           uint32 = 20
	NASPortTypeFDDI                                uint32 = 21
	AcctStatusTypeStart                            uint32 = 1
	AcctStatusTypeStop                             uint32 = 2
	AcctStatusTypeInterimUpdate                    uint32 = 3
	AcctStatusTypeAccountingOn                     uint32 = 7
	AcctStatusTypeAccountingOff                    uint32 = 8
	AcctAuthenticRADIUS                            uint32 = 1
	AcctAuthenticLocal                             uint32 = 2
	AcctAuthenticRemote                            uint32 = 3
	AcctTerminateCauseUserRequest                  uint32 = 1
	AcctTerminateCauseLostCarrier                  uint32 = 2
	AcctTerminateCauseLostService                  uint32 = 3
	AcctTerminateCauseIdleTimeout                  uint32 = 4
	AcctTerminateCauseSessionTimeout               uint32 = 5
	AcctTerminateCauseAdminReset                   uint32 = 6
	AcctTerminateCauseAdminReboot                  uint32 = 7
	AcctTerminateCausePortError                    uint32 = 8
	AcctTerminateCauseNASError                     uint32 = 9
	AcctTerminateCauseNASRequest                   uint32 = 10
	AcctTerminateCauseNASReboot                    uint32 = 11
	AcctTerminateCausePortUnneeded                 uint32 = 12
	AcctTerminateCausePortPreempted                uint32 = 13
	AcctTerminateCausePortSuspended                uint32 = 14
	AcctTerminateCauseServiceUnavailable           uint32 = 15
	AcctTerminateCauseCallback                     uint32 = 16
	AcctTerminateCauseUserError                    uint32 = 17
	AcctTerminateCauseHostRequest                  uint32 = 18
	AcctTerminateCauseSupplicantRestart            uint32 = 19
	AcctTerminateCauseReauthenticationFailure      uint32 = 20
	AcctTerminateCausePortReinitialized            uint32 = 21
	AcctTerminateCausePortAdministrativelyDisabled uint32 = 22
	TunnelTypePPTP                                 uint32 = 1
	TunnelTypeL2TP                                 uint32 = 3
	TunnelTypeAH                                   uint32 = 6
	TunnelTypeESP                                  uint32 = 9
	TunnelTypeGRE                                  uint32 = 10
	TunnelTypeVLAN                                 uint32 = 13
	TunnelMediumTypeIPv4                           uint32 = 1
	TunnelMediumTypeIPv6                           uint32 = 2
	TunnelMediumTypeIEEE802                        uint32 = 6
	ErrorCauseResidualSessionContextRemoved        uint32 = 201
	ErrorCauseInvalidEAPPacket                     uint32 = 202
	ErrorCauseUnsupportedAttribute                 uint32 = 401
	ErrorCauseMissingAttribute                     uint32 = 402
	ErrorCauseNASIdentificationMismatch            uint32 = 403
	ErrorCauseInvalidRequest                       uint32 = 404
	ErrorCauseUnsupportedService                   uint32 = 405
	ErrorCauseUnsupportedExtension                 uint32 = 406
	ErrorCauseInvalidAttributeValue                uint32 = 407
	ErrorCauseAdministrativelyProhibited           uint32 = 501
	ErrorCauseRequestNotRoutable                   uint32 = 502
	ErrorCauseSessionContextNotFound               uint32 = 503
	ErrorCauseSessionContextNotRemovable           uint32 = 504
	ErrorCauseOtherProxyProcessingError            uint32 = 505
	ErrorCauseResourcesUnavailable                 uint32 = 506
	ErrorCauseRequestInitiated                     uint32 = 507
	ErrorCauseMultipleSessionSelectionUnsupported  uint32 = 508
	ErrorCauseLocationInfoRequired                 uint32 = 509
	ErrorCauseMissingMessageAuthenticator          uint32 = 510
	ErrorCauseResponseTooBig                       uint32 = 601
)

var typeNames = [256]string{
	UserName:                      "User-Name",
	UserPassword:                  "User-Password",
	CHAPPassword:                  "CHAP-Password",
	NASIPAddress:                  "NAS-IP-Address",
	NASPort:                       "NAS-Port",
	ServiceType:                   "Service-Type",
	FramedProtocol:                "Framed-Protocol",
	FramedIPAddress:               "Framed-IP-Address",
	FramedIPNetmask:               "Framed-IP-Netmask",
	FramedRouting:                 "Framed-Routing",
	FilterID:                      "Filter-Id",
	FramedMTU:                     "Framed-MTU",
	FramedCompression:             "Framed-Compression",
	LoginIPHost:                   "Login-IP-Host",
	LoginService:                  "Login-Service",
	LoginTCPPort:                  "Login-TCP-Port",
	ReplyMessage:                  "Reply-Message",
	CallbackNumber:                "Callback-Number",
	CallbackID:                    "Callback-Id",
	FramedRoute:                   "Framed-Route",
	FramedIPXNetwork:              "Framed-IPX-Network",
	State:                         "State",
	Class:                         "Class",
	VendorSpecific:                "Vendor-Specific",
	SessionTimeout:                "Session-Timeout",
	IdleTimeout:                   "Idle-Timeout",
	TerminationAction:             "Termination-Action",
	CalledStationID:               "Called-Station-Id",
	CallingStationID:              "Calling-Station-Id",
	NASIdentifier:                 "NAS-Identifier",
	ProxyState:                    "Proxy-State",
	LoginLATService:               "Login-LAT-Service",
	LoginLATNode:                  "Login-LAT-Node",
	LoginLATGroup:                 "Login-LAT-Group",
	FramedAppleTalkLink:           "Framed-AppleTalk-Link",
	FramedAppleTalkNetwork:        "Framed-AppleTalk-Network",
	FramedAppleTalkZone:           "Framed-AppleTalk-Zone",
	CHAPChallenge:                 "CHAP-Challenge",
	NASPortType:                   "NAS-Port-Type",
	PortLimit:                     "Port-Limit",
	LoginLATPort:                  "Login-LAT-Port",
	AcctStatusType:                "Acct-Status-Type",
	AcctDelayTime:                 "Acct-Delay-Time",
	AcctInputOctets:               "Acct-Input-Octets",
	AcctOutputOctets:              "Acct-Output-Octets",
	AcctSessionID:                 "Acct-Session-Id",
	AcctAuthentic:                 "Acct-Authentic",
	AcctSessionTime:               "Acct-Session-Time",
	AcctInputPackets:              "Acct-Input-Packets",
	AcctOutputPackets:             "Acct-Output-Packets",
	AcctTerminateCause:            "Acct-Terminate-Cause",
	AcctMultiSessionID:            "Acct-Multi-Session-Id",
	AcctLinkCount:                 "Acct-Link-Count",
	TunnelType:                    "Tunnel-Type",
	TunnelMediumType:              "Tunnel-Medium-Type",
	TunnelClientEndpoint:          "Tunnel-Client-Endpoint",
	TunnelServerEndpoint:          "Tunnel-Server-Endpoint",
	AcctTunnelConnection:          "Acct-Tunnel-Connection",
	TunnelPassword:                "Tunnel-Password",
	TunnelPrivateGroupID:          "Tunnel-Private-Group-ID",
	TunnelAssignmentID:            "Tunnel-Assignment-ID",
	TunnelPreference:              "Tunnel-Preference",
	AcctTunnelPacketsLost:         "Acct-Tunnel-Packets-Lost",
	TunnelClientAuthID:            "Tunnel-Client-Auth-ID",
	TunnelServerAuthID:            "Tunnel-Server-Auth-ID",
	AcctInputGigawords:            "Acct-Input-Gigawords",
	AcctOutputGigawords:           "Acct-Output-Gigawords",
	EventTimestamp:                "Event-Timestamp",
	ARAPPassword:                  "ARAP-Password",
	ARAPFeatures:                  "ARAP-Features",
	ARAPZoneAccess:                "ARAP-Zone-Access",
	ARAPSecurity:                  "ARAP-Security",
	ARAPSecurityData:              "ARAP-Security-Data",
	PasswordRetry:                 "Password-Retry",
	Prompt:                        "Prompt",
	ConnectInfo:                   "Connect-Info",
	ConfigurationToken:            "Configuration-Token",
	EAPMessage:                    "EAP-Message",
	MessageAuthenticator:          "Message-Authenticator",
	ARAPChallengeResponse:         "ARAP-Challenge-Response",
	AcctInterimInterval:           "Acct-Interim-Interval",
	NASPortID:                     "NAS-Port-Id",
	FramedPool:                    "Framed-Pool",
	NASIPv6Address:                "NAS-IPv6-Address",
	FramedInterfaceID:             "Framed-Interface-Id",
	FramedIPv6Prefix:              "Framed-IPv6-Prefix",
	LoginIPv6Host:                 "Login-IPv6-Host",
	FramedIPv6Route:               "Framed-IPv6-Route",
	FramedIPv6Pool:                "Framed-IPv6-Pool",
	DelegatedIPv6Prefix:           "Delegated-IPv6-Prefix",
	FramedIPv6Address:             "Framed-IPv6-Address",
	EgressVLANID:                  "Egress-VLANID",
	IngressFilters:                "Ingress-Filters",
	EgressVLANName:                "Egress-VLAN-Name",
	UserPriorityTable:             "User-Priority-Table",
	ChargeableUserIdentity:        "Chargeable-User-Identity",
	NASFilterRule:                 "NAS-Filter-Rule",
	ErrorCause:                    "Error-Cause",
	EAPKeyName:                    "EAP-Key-Name",
	OperatorName:                  "Operator-Name",
	LocationInformation:           "Location-Information",
	LocationData:                  "Location-Data",
	BasicLocationPolicyRules:      "Basic-Location-Policy-Rules",
	ExtendedLocationPolicyRules:   "Extended-Location-Policy-Rules",
	LocationCapable:               "Location-Capable",
	RequestedLocationInfo:         "Requested-Location-Info",
	FramedManagementProtocol:      "Framed-Management-Protocol",
	ManagementTransportProtection: "Management-Transport-Protection",
	ManagementPolicyID:            "Management-Policy-Id",
	ManagementPrivilegeLevel:      "Management-Privilege-Level",
	NetworkIDName:                 "Network-Id-Name",
	WLANSSIDHESSID:                "WLAN-SSID-HESSID",
	WLANPairwiseCipher:            "WLAN-Pairwise-Cipher",
	WLANGroupCipher:               "WLAN-Group-Cipher",
	WLANAKMSuite:                  "WLAN-AKM-Suite",
}
