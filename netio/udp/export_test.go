package udp

// Answerable is answerable, for tests.
var Answerable = answerable
