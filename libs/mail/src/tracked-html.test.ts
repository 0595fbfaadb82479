import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withTracking } from './tracked-html.ts';

const link = (url: string) => `https://t.example/?${url}`;
const tracked = (html: string) => withTracking(html, { link });

describe('links', () => {
  const rewritten: [string, string, string][] = [
    ['in double quotes', '<a href="https://a.example/">x</a>', '<a href="https://t.example/?https://a.example/">x</a>'],
    ['in single quotes', "<A class=b HREF='http://a.example/?q=1'>", '<A class=b HREF="https://t.example/?http://a.example/?q=1">'],
    ['without quotes', '<a href=https://a.example/x target=_blank>', '<a href="https://t.example/?https://a.example/x" target=_blank>'],
    ['with entities', '<a href="https://a.example/?a=1&amp;b=2">', '<a href="https://t.example/?https://a.example/?a=1&amp;b=2">'],
    ['of an area', '<area href="https://a.example/">', '<area href="https://t.example/?https://a.example/">'],
    [
      'the first of two',
      '<a href="https://a.example/" href="https://b.example/">',
      '<a href="https://t.example/?https://a.example/" href="https://b.example/">',
    ],
    [
      'behind a bracket in a value',
      '<a title="a>b" href="https://a.example/">',
      '<a title="a>b" href="https://t.example/?https://a.example/">',
    ],
  ];
  for (const [what, html, expected] of rewritten) it(`${what} lead through us`, () => assert.equal(tracked(html), expected));

  const kept = [
    '<a href="mailto:a@b.example">',
    '<a href="tel:1">',
    '<a href="#top">',
    '<a href="/relative">',
    '<a href="javascript:alert(1)">',
    '<a name=x>',
    '<a href="https://a.example/" data-track="false">',
    '<link href="https://a.example/x.css">',
    '<!-- <a href="https://a.example/"> -->',
    '<style>a[href="https://a.example/"]{}</style>',
    '<script>"<a href=\'https://a.example/\'>"</script>',
    'https://a.example/ in text',
    '<a href="https://">',
    '<',
    '<a',
    '<a href="https://a.example/',
    '</a href="https://a.example/">',
  ];
  for (const html of kept) it(`stay: ${html}`, () => assert.equal(tracked(html), html));

  it('stay where nothing is to come instead', () => {
    const html = '<a href="https://a.example/">';
    assert.equal(withTracking(html, { link: () => undefined }), html);
    assert.equal(withTracking(html, {}), html);
  });
});

describe('the picture', () => {
  it('stands before the end of the body, or at the end', () => {
    const picture = /<img src="https:\/\/t\.example\/o" width="1" height="1" alt=""[^>]*>/;
    assert.match(
      withTracking('<body><p>x</p></BODY></html>', { pixel: 'https://t.example/o' }),
      new RegExp(`^<body><p>x</p>${picture.source}</BODY></html>$`),
    );
    assert.match(withTracking('<p>x', { pixel: 'https://t.example/o' }), new RegExp(`^<p>x${picture.source}$`));
    const comments = '<!-- </body> --><p>x</p></body><!--[if mso]></body><![endif]--><!-- </body>';
    assert.match(withTracking(comments, { pixel: 'https://t.example/o' }), new RegExp(`<p>x</p>${picture.source}</body><!--\\[if`));
  });
});
