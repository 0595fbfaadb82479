// What a template is made of, as it goes to the threads that parse and render it, and what comes back. Plain data: it crosses threads.

/** Of a message: each is a program of its own. */
export type Part = 'subject' | 'html' | 'text';
export const parts: readonly Part[] = ['subject', 'html', 'text'];

export interface Source {
  subject: string;
  /** Empty where there is none; at least one of html and text is there. */
  html: string;
  text: string;
}

/** A template that another one names. Its HTML stands in HTML, its text in text and subjects. */
export interface Partial {
  id: string;
  html: string;
  text: string;
}

/** A template with all that it names, directly or by others. */
export interface Program extends Source {
  /** Of all versions in it, so that it need not be parsed again. Empty = it is not kept. */
  key: string;
  /** Its own id, so that it isn't its own partial; empty while it has none. */
  id: string;
  /** By the names that are written in the sources. */
  partials: ReadonlyMap<string, Partial>;
}

/** What is wrong at one place of a source. Line and column count from 1. */
export interface Problem {
  part: Part;
  code: 'syntax' | 'partial' | 'render' | 'time_limit' | 'memory_limit';
  message: string;
  line?: number;
  column?: number;
}

export interface Variable {
  name: string;
  required: boolean;
}

/** A source that can be kept. */
export interface Checked {
  kind: 'checked';
  variables: Variable[];
}

/** A source with its variables filled in; what is missing is blank. */
export interface Filled extends Source {
  kind: 'filled';
  missing: string[];
}

/** It can't be kept, or can't be filled in. */
export interface Refused {
  kind: 'refused';
  problems: Problem[];
}

/** The variables are no JSON object. */
export interface NoObject {
  kind: 'no_object';
}
