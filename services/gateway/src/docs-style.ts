// How the pages of the documentation look: no scripts, no files beside them.
export const docsStyle = `
:root { color-scheme: light dark; --text: light-dark(#1c2430, #dfe5ee); --soft: light-dark(#5b6675, #97a3b4); --line: light-dark(#dfe4ea, #2c3542); --back: light-dark(#fff, #12161c); --panel: light-dark(#f5f7f9, #1a2029); --accent: light-dark(#0b63ce, #6cb0ff); }
* { box-sizing: border-box; }
body { margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 1fr); font: 15px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.2rem; border-right: 1px solid var(--line); display: flex; flex-direction: column; font-size: 14px; }
nav a { color: var(--soft); text-decoration: none; padding: .12rem 0; } nav a:hover { color: var(--accent); }
nav strong { margin-top: 1rem; } nav .brand { font-weight: 700; color: var(--text); font-size: 16px; }
main { padding: 1.5rem 2.5rem 6rem; max-width: 60rem; }
h1 { margin-top: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
.operation { margin: 2rem 0 3rem; } h3 { margin-bottom: .3rem; } h4 { margin: 1.2rem 0 .3rem; }
:target { scroll-margin-top: 1rem; } dt:target { background: var(--panel); outline: 2px solid var(--accent); }
code, pre { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; } code { background: var(--panel); padding: .1em .3em; border-radius: 4px; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); } th { color: var(--soft); font-weight: 600; }
.method { font: 700 12px/1 ui-monospace, monospace; padding: .3em .5em; border-radius: 5px; color: #fff; background: #556; } .GET { background: #1a7f4b; } .POST { background: #0b63ce; } .DELETE { background: #b3352b; }
.scope { font-size: 12px; color: var(--soft); border: 1px solid var(--line); border-radius: 99px; padding: .1em .6em; } .required { font-size: 11px; color: #c0392b; }
.errors { color: var(--soft); font-size: 13px; } a { color: var(--accent); } dd { margin: 0 0 .8rem 0; color: var(--text); } dt { font-weight: 600; padding: .1rem .3rem; border-radius: 4px; }
summary { cursor: pointer; color: var(--soft); } nav a[aria-current] { color: var(--accent); font-weight: 600; } .prose pre { white-space: pre; } .prose h2 { margin-top: 2.2rem; }
@media (max-width: 800px) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
`;
