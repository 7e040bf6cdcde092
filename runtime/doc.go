// Package runtime is the life of a task: it reads the task file, makes the run
// directory, opens the tools when they are first needed and closes them at the
// end, keeps the trace, and grades the outcome. The loop itself is package
// agent's.
//
// What it refuses: it knows no command line, no terminal and no inference
// engine; who starts it hands these over.
package runtime
