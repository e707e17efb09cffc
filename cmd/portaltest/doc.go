// Package portaltest has nothing but tests: a person's way through the portal in a real
// browser, beside the real appliance, NAS and agent.
//
//	Chromium <- chromedriver <- this test            sallyport-agent run --sysroot FIXTURE
//	   |  http://www.example.com/                         |  a stick that comes and goes
//	   v                                                  v
//	ASA (redirect) <- RADIUS, CoA -> sallyport serve <- HTTPS reports
//	   |                                  ^
//	   '--- 302 to the portal ------------'
//
// Chromium takes the page as every browser does; what differs from one walk to the next is
// whether it knows the certificate, light or dark, how wide the window is, the language, and
// whether scripts run and there is a mouse. On every page that it comes to, the same things
// are asked: nothing wider than the window, contrast, names for what can be used, nothing
// fetched from elsewhere, nothing that the content policy had to stop.
//
// Screenshots go to testdata-cache/portal, which git does not keep; SALLYPORT_SCREENSHOTS
// names another directory. Debian's chromium, chromium-driver and libnss3-tools are needed;
// where they are missing the tests are left out and say so.
//
// Files: driver (WebDriver), world (appliance, NAS, agent), page (what every page has to
// hold), then the tests.
package portaltest
