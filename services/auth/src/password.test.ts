// What a password must be, and that what is kept of it tells it from every other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPassword, hashPassword, isPassword } from './password.ts';

test('a password is itself, in whatever form of Unicode it was typed, and nothing else is', async () => {
  const kept = await hashPassword('Ångström und Köln');
  assert.match(kept, /^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.deepEqual(await isPassword('Ångström und Köln', kept), { ok: true, outdated: false });
  assert.deepEqual(await isPassword('A\u030angstro\u0308m und Ko\u0308ln', kept), { ok: true, outdated: false });
  for (const other of ['ångström und köln', 'Ångström und Köln ', '', 'x'.repeat(5000)])
    assert.equal((await isPassword(other, kept)).ok, false, other);
  assert.notEqual(await hashPassword('Ångström und Köln'), kept, 'each has a salt of its own');
});

test('nobody’s password is not even the one that its bytes stand for', async () => {
  assert.equal((await isPassword('', undefined)).ok, false);
  assert.equal((await isPassword('anything at all', undefined)).ok, false);
});

test('a password that was kept with other parameters is taken, and said to be outdated', async () => {
  // RFC 7914 section 12: scrypt("password", "NaCl", N=1024, r=8, p=16), the first 32 of 64 bytes.
  const kept = `$scrypt$ln=10,r=8,p=16$${Buffer.from('NaCl').toString('base64').replace(/=+$/, '')}$${Buffer.from('fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162', 'hex').toString('base64').replace(/=+$/, '')}`;
  assert.deepEqual(await isPassword('password', kept), { ok: true, outdated: true });
});

test('what would be guessed first is refused', () => {
  const codeOf = (text: string) => checkPassword(text, 'new_password', 'ada.lovelace@example.com')[0]?.code;
  assert.equal(codeOf('too short'), 'too_short');
  assert.equal(codeOf('abababababab'), 'too_easy');
  assert.equal(codeOf('Ada.Lovelace@example.com'), 'too_easy');
  assert.equal(codeOf('ada.lovelace'), 'too_easy');
  assert.equal(codeOf('x1'.repeat(600)), 'too_long');
  assert.equal(codeOf('correct horse battery staple'), undefined);
  assert.equal(codeOf('密碼是很長的一句話喔'), undefined);
});
