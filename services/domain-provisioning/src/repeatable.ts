// Requests that may arrive twice: their key, and what they are answered the second time.
import { repeatableWith } from '@maildoot/db/repeatable';
import { errors } from './errors.ts';

export const { repeatableOf, storedAnswer } = repeatableWith(errors);
