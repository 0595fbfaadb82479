import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judge } from './machine.ts';

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0';

describe('an opening is', () => {
  const table: [string, Partial<Parameters<typeof judge>[0]>, boolean, string][] = [
    ['a person with a browser', {}, false, ''],
    ['a person behind Gmail’s proxy', { userAgent: `${firefox} (via ggpht.com GoogleImageProxy)` }, false, 'image_proxy'],
    ['Apple’s privacy proxy', { userAgent: 'Mozilla/5.0' }, true, 'apple_privacy'],
    [
      'Gmail fetching ahead',
      {
        userAgent:
          'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0',
      },
      true,
      'prefetch',
    ],
    ['a browser fetching ahead', { prefetch: true }, true, 'prefetch'],
    ['a scanner that says so', { userAgent: 'BarracudaCentral scanner' }, true, 'scanner'],
    ['a program without a name', { userAgent: '' }, true, 'scanner'],
    ['curl', { userAgent: 'curl/8.5.0' }, true, 'scanner'],
    ['anybody within seconds of delivery', { sinceDeliveredMs: 2_999 }, true, 'too_soon'],
    ['anybody before delivery is known', { sinceDeliveredMs: undefined }, true, 'too_soon'],
    ['a quick person', { sinceDeliveredMs: 3_000 }, false, ''],
  ];
  for (const [what, visit, machine, reason] of table) {
    it(what, () =>
      assert.deepEqual(judge({ userAgent: firefox, prefetch: false, sinceDeliveredMs: 60_000, ...visit }), { machine, reason }),
    );
  }
});
