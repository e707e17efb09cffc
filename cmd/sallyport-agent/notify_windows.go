package main

import (
	"log/slog"
	"unsafe"

	"golang.org/x/sys/windows"
)

var sendMessage = windows.NewLazySystemDLL("wtsapi32.dll").NewProc("WTSSendMessageW")

// Of MessageBox: an OK button, a warning sign, in front of other windows.
const messageStyle = 0x0 | 0x30 | 0x10000

// messageSeconds is how long a message stays that nobody closes.
const messageSeconds = 600

// notify shows a message to everybody who is logged in and in front of a screen: a service
// has none of its own.
func notify(text string, log *slog.Logger) {
	var first *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &count); err != nil {
		log.Warn("it cannot be told who is logged in", "error", err)
		return
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	for _, s := range unsafe.Slice(first, count) {
		if s.State != windows.WTSActive || s.SessionID == 0 {
			continue
		}
		if err := notifySession(s.SessionID, text); err != nil {
			log.Warn("a message was not shown", "session", s.SessionID, "error", err)
		}
	}
}

func notifySession(id uint32, text string) error {
	if err := sendMessage.Find(); err != nil {
		return err
	}
	title, err := windows.UTF16FromString(serviceTitle)
	if err != nil {
		return err
	}
	body, err := windows.UTF16FromString(text)
	if err != nil {
		return err
	}
	var response uint32
	octets := func(s []uint16) uintptr { return uintptr(2 * (len(s) - 1)) }
	ok, _, err := sendMessage.Call(0, uintptr(id), uintptr(unsafe.Pointer(&title[0])), octets(title), uintptr(unsafe.Pointer(&body[0])), octets(body),
		messageStyle, messageSeconds, uintptr(unsafe.Pointer(&response)), 0)
	if ok == 0 {
		return err
	}
	return nil
}
