// Plain text of HTML: what a reader of the page would want to read, for any input, in linear time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuMs } from '@maildoot/testkit/cpu';
import fc from 'fast-check';
import { textFromHtml, textLimits } from './text-from-html.ts';

test('reads like the page', () => {
  const table: [string, string][] = [
    ['', ''],
    ['plain', 'plain'],
    ['<p>Hello <b>bold</b>, <i>it</i>alic</p><p>next</p>', 'Hello bold, italic\n\nnext'],
    ['  <p>\n  a\n  b  </p>  ', 'a b'],
    ['a<br>b<br/>c<br><br><br><br>d', 'a\nb\nc\n\nd'],
    ['<h1>Title</h1>text', 'Title\n\ntext'],
    ['<div>a</div><div>b</div>', 'a\nb'],
    ['a &amp; b &lt;c&gt; &euro;5 &#8364;5 &nbsp; x&hellip;', 'a & b <c> €5 €5 x…'],
    ['Tom &amp;lt; Jerry', 'Tom &lt; Jerry'],
    ['1 < 2 and a<b>c</b>', '1 < 2 and ac'],
    ['<a href="https://example.com/x?a=1&amp;b=2">Click</a> now', 'Click <https://example.com/x?a=1&b=2> now'],
    ['<a href="https://example.com/">https://example.com</a>', 'https://example.com'],
    ['<a href="https://example.com">example.com</a>', 'example.com'],
    ['<a href="mailto:a@example.com">a@example.com</a>', 'a@example.com'],
    ['<a href="mailto:a@example.com">write</a>', 'write <a@example.com>'],
    ['<a href="javascript:alert(1)">x</a> <a href="#top">y</a> <a href="/rel">z</a>', 'x y z'],
    ['<a href="https://example.com"><img src="x.png"></a>', 'https://example.com'],
    ['<a href="https://example.com"><img alt="Logo"></a>', 'Logo <https://example.com>'],
    ["<img alt='a > b' src=x>end", 'a > bend'],
    ['<ul><li>one</li><li>two<ul><li>inner</li></ul></li></ul>after', '- one\n- two\n  - inner\n\nafter'],
    ['<ol><li>one<li>two</ol>', '1. one\n2. two'],
    ['<ul><li><p>one</p></li><li><p>two</p></li></ul>', '- one\n\n- two'],
    ['<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>', 'a b\nc d'],
    ['x<blockquote>q<br>r</blockquote>y', 'x\n\n> q\n> r\n\ny'],
    ['<pre>a\n  b</pre>c', 'a\n  b\n\nc'],
    ['a<hr>b', 'a\n\n---\n\nb'],
    ['<head><title>T</title><style>p { color: red }</style></head><body>x<script>if (a < b) "</p>"</script>y</body>', 'xy'],
    ['<div style="display:none">preview</div>shown', 'shown'],
    ["<div style='DISPLAY : none'><div>a</div>b</div>shown", 'shown'],
    ['<p hidden>a</p><span data-x="display">b</span>', 'b'],
    ['a<!-- <p>no</p> -->b<!doctype html><?php x ?>c', 'abc'],
    ['pre\u200b\u00adview&zwnj;&#8203;', 'preview\u200c'],
    ['a&#1;&#0;b\u0007', 'a\ufffdb'],
    ['<svg><text>no</text></svg>yes', 'yes'],
    ['unclosed <b>tag <a href="https://example.com">x', 'unclosed tag x <https://example.com>'],
    ['unclosed <a href="https://example.com', 'unclosed'],
    ['unclosed <!-- comment', 'unclosed'],
    ['</p></ul></blockquote></pre>x', 'x'],
    ['Grüße <b>мир</b> 👩‍💻', 'Grüße мир 👩‍💻'],
  ];
  for (const [html, expected] of table) assert.equal(textFromHtml(html), expected, html);
});

test('any input gives text without controls, with no more than one empty line together', () => {
  const unit = fc.constantFrom(
    '<',
    '>',
    '/',
    '"',
    "'",
    '=',
    ' ',
    '\n',
    '&',
    ';',
    '!',
    '-',
    'a',
    'p',
    '<p>',
    '</p>',
    '<a href="https://x">',
    '</a>',
    '<li>',
    '<ul>',
    '<pre>',
    '<script>',
    '&#10;',
    '&amp;',
    '\0',
    '<blockquote>',
  );
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit, maxLength: 80 }), fc.string({ unit: 'binary' })), (html) => {
      const text = textFromHtml(html);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
      assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      assert.doesNotMatch(text, /\n\n\n|\n$/);
      assert.ok(text.isWellFormed());
    }),
    { numRuns: 1000 },
  );
});

test('words that are shown are in the text, in order', () => {
  const word = fc.stringMatching(/^[a-z]{1,8}$/);
  const element = fc.constantFrom('p', 'div', 'b', 'li', 'td', 'h2', 'span', 'blockquote');
  fc.assert(
    fc.property(fc.array(fc.tuple(word, element), { minLength: 1, maxLength: 12 }), (items) => {
      const text = textFromHtml(items.map(([shown, name]) => `<${name}>${shown}</${name}> `).join(''));
      assert.deepEqual(
        text.match(/[a-z]+/g),
        items.map(([shown]) => shown),
      );
    }),
  );
});

test('time grows with the size only, and depth costs nothing', () => {
  const size = 1_000_000;
  const units = [
    '<div>',
    '<b>',
    '<ul><li>',
    '<table><tr><td>',
    '<blockquote>x',
    '<a href="https://x.example">y',
    '<',
    '</',
    '<!--',
    '<!',
    '&',
    '&#',
    ' ',
    'hello ',
    '<a b=',
    '<a "',
    '<script>',
    '<p hidden>',
    '="',
    '<svg>',
    '</script',
    '<pre>\n',
  ];
  for (const unit of units) {
    const html = unit.repeat(Math.ceil(size / unit.length));
    const startedAt = cpuMs();
    textFromHtml(html);
    const took = cpuMs() - startedAt;
    assert.ok(took < 2000, `${JSON.stringify(unit)}: ${took} ms`);
  }
});

test('what is past the limit is left out, and said to be', () => {
  const text = textFromHtml('word '.repeat(textLimits.maxTextChars / 2));
  assert.ok(text.length <= textLimits.maxTextChars + 10);
  assert.ok(text.endsWith('\n[…]'));
});
