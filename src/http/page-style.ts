/** The styles of all built-in pages, light and dark, for either direction of writing. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: #1a1d21; --soft: #59616e; --paper: #f3f5f8; --card: #fff; --field: #fff; --accent: #2456d6; --line: #dde2e9; --edge: #87909d; --alert: #b3261e; --alert-paper: #fdf0ef; --shadow: 0 1px 2px rgb(16 24 40 / .06), 0 8px 24px rgb(16 24 40 / .06); --action: var(--accent); --on-action: var(--card); --action-edge: transparent }
@media (prefers-color-scheme: dark) { :root { --ink: #e9ebee; --soft: #a5adba; --paper: #0f1114; --card: #191c21; --field: #101215; --accent: #85a9ff; --line: #2d323a; --edge: #6d7684; --alert: #ffa39b; --alert-paper: #33191a; --shadow: none } }
* { box-sizing: border-box }
[hidden] { display: none !important }
body { margin: 0; min-height: 100vh; min-height: 100svh; padding: 2rem 0; display: grid; align-content: center; justify-items: center; gap: 1rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; -webkit-text-size-adjust: 100% }
header, main, footer { width: min(26rem, 92vw) }
header, footer { color: var(--soft); padding: 0 .25rem }
header { font-weight: 600 }
header img { display: block; max-width: 100%; max-height: 2.5rem }
footer { font-size: .9rem }
footer a { color: inherit }
main { padding: clamp(1.25rem, 6vw, 2.25rem); background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow) }
h1 { margin: 0 0 .75rem; font-size: 1.375rem; line-height: 1.3; letter-spacing: -.01em; text-wrap: balance }
h1 span { white-space: nowrap }
h2 { margin: 1.5rem 0 .5rem; font-size: 1rem }
p { margin: .75rem 0 }
a { color: var(--accent); text-underline-offset: .15em }
form { margin: 1.25rem 0 0 }
label { display: block; margin: 1.1rem 0 .35rem; font-size: .9375rem; font-weight: 500 }
input { display: block; width: 100%; min-height: 2.75rem; padding: .5rem .75rem; font: inherit; border: 1px solid var(--edge); border-radius: 8px; background: var(--field); color: inherit }
input[readonly] { border-color: var(--line); background: none; color: var(--soft); text-overflow: ellipsis }
input + .soft { margin-top: .4rem }
input[aria-invalid=true] { border-color: var(--alert); box-shadow: inset 0 0 0 1px var(--alert) }
input.code { font-size: 1.25rem; letter-spacing: .12em; font-variant-numeric: tabular-nums }
ul { margin: 1rem 0; padding-inline-start: 1.25rem }
li { margin: .35rem 0 }
button, .button { display: block; width: 100%; min-height: 2.75rem; margin: 1.25rem 0 0; padding: .6rem 1rem; font: inherit; font-weight: 600; text-align: center; text-decoration: none; border: 1px solid var(--action-edge); border-radius: 8px; background: var(--action); color: var(--on-action); cursor: pointer }
button:hover, .button:hover { filter: brightness(1.08) }
button:active, .button:active { filter: brightness(.95) }
button + button { margin-top: .75rem }
.secondary { border-color: var(--edge); background: transparent; color: var(--ink) }
.secondary:hover { background: var(--paper); filter: none }
:disabled { opacity: .55; cursor: default; filter: none }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
input:focus-visible { outline-offset: -1px; border-color: var(--accent); box-shadow: none }
.alert { margin: 1rem 0; padding: .7rem .9rem; border-inline-start: 4px solid var(--alert); border-radius: 6px; background: var(--alert-paper); color: var(--alert); font-size: .9375rem; font-weight: 500 }
input + .alert { margin: .4rem 0 0; padding: 0; border: 0; background: none }
.soft { color: var(--soft); font-size: .9rem }
.notice { margin: 1rem 0; padding: .7rem .9rem; border-inline-start: 4px solid var(--accent); border-radius: 6px; background: var(--paper); font-size: .9375rem }
code { font-size: .9em }
dl.facts { display: grid; grid-template-columns: fit-content(45%) 1fr; gap: .35rem 1rem; margin: 1rem 0; font-size: .9375rem }
.facts dt { color: var(--soft) }
.facts dd { margin: 0; font-weight: 500; font-variant-numeric: tabular-nums }
.aside { margin: .5rem 0 0; font-size: .9rem; text-align: end }
.or { display: flex; align-items: center; gap: .75rem; margin: 1.25rem 0 0; color: var(--soft); font-size: .9rem }
.or::before, .or::after { content: ""; flex: 1; border-top: 1px solid var(--line) }
.or ~ form button, .alert[hidden] + form button { margin-top: 0 }
.further { margin: 1.75rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .9375rem }
details { margin-top: 1.25rem }
summary { width: fit-content; color: var(--accent); cursor: pointer; font-size: .9rem; font-weight: 500 }
main > :last-child { margin-bottom: 0 }
`
