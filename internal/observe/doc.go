// Package observe lets people and probes see how a server is: its log, the
// greeting at its start, its version and its health.
//
// What users say to each other is no part of that: the text of a message
// never reaches a log line, an error or a health report.
package observe
