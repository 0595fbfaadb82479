// What a call to template can fail with: a closed list.
import { answeringWith, databaseAwayRetryAfterMs } from '@maildoot/db/answering';
import { defineErrors, type Issue, type RpcError } from '@maildoot/rpc/errors';
import type { Problem } from './source.ts';

export const errors = defineErrors({
  /** The request is not what it must be; the issues say where. */
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
  /** Not there, or somebody else's; the issue says whether the template or its version. */
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  /** The alias is taken. */
  CONFLICT: { status: 'ALREADY_EXISTS', retryable: false },
  /** The source can't be kept, or can't be rendered; the issues say where. */
  TEMPLATE_ERROR: { status: 'FAILED_PRECONDITION', retryable: false },
  /** Variables that the template needs are not given. */
  MISSING_VARIABLES: { status: 'FAILED_PRECONDITION', retryable: false },
  /** What is rendered is more than one answer holds. */
  PAYLOAD_TOO_LARGE: { status: 'OUT_OF_RANGE', retryable: false },
  /** The first request with this idempotency key has not been answered yet. */
  IDEMPOTENCY_IN_PROGRESS: { status: 'ABORTED', retryable: true },
  /** The idempotency key was used with another request. */
  IDEMPOTENCY_MISMATCH: { status: 'FAILED_PRECONDITION', retryable: false },
  /** The database can't be reached. */
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
  /** More is asked for than can be rendered. Not UNAVAILABLE, which callers ask again about at once. */
  OVERLOADED: { status: 'UNAVAILABLE', retryable: true },
});

/** For every handler that asks the database. */
export const answering = answeringWith((cause) =>
  errors.UNAVAILABLE({
    message: 'Templates can’t be read or kept at the moment. Try again shortly.',
    retryAfterMs: databaseAwayRetryAfterMs,
    cause,
  }),
);

/** For what is not there and for what is another tenant's, in the same words: nobody learns which. */
export function noSuchTemplate(): RpcError {
  const message = 'There is no such template.';
  return errors.NOT_FOUND({ message, issues: [{ path: 'template', code: 'unknown_template', message }] });
}

export function noSuchVersion(version: number): RpcError {
  const message = version === 0 ? 'No version of this template is published.' : `The template has no version ${version}.`;
  return errors.NOT_FOUND({ message, issues: [{ path: 'version', code: 'unknown_version', message }] });
}

export function aliasTaken(): RpcError {
  const message = 'Another template of yours has this alias.';
  return errors.CONFLICT({ message, issues: [{ path: 'alias', code: 'alias_taken', message }] });
}

export function tooManyTemplates(): RpcError {
  const message = 'You have as many templates as an account can have. Delete those that you no longer send.';
  return errors.CONFLICT({ message, issues: [{ path: '', code: 'too_many', message }] });
}

export function templateError(problems: readonly Problem[]): RpcError {
  const [first] = problems;
  const issues = problems.map(({ part, code, message, line, column }): Issue => ({ path: part, code, message, line, column }));
  return errors.TEMPLATE_ERROR({ message: first === undefined ? 'The template is not right.' : sentenceOf(first), issues });
}

function sentenceOf({ part, message, line, column }: Problem): string {
  return line === undefined ? `${part}: ${message}` : `${part}, line ${line}, column ${column}: ${message}`;
}

export function missingVariables(names: readonly string[]): RpcError {
  const issues = names.map((name) => ({ path: `variables.${name}`, code: 'missing', message: `The template needs the variable ${name}.` }));
  return errors.MISSING_VARIABLES({ message: `Variables that the template needs are missing: ${names.join(', ')}.`, issues });
}
