import { createHash } from 'node:crypto'
import type { Problem } from './problem.ts'

const STYLE = `
:root{color-scheme:light dark;--paper:#f7f6f3;--ink:#1c1d1f;--soft:#6b6d72;--line:#e3e1db;--card:#fff;--mark:#0f766e}
@media(prefers-color-scheme:dark){:root{--paper:#121315;--ink:#ecebe8;--soft:#9a9ca3;--line:#2a2c30;--card:#1a1c1f;--mark:#5eead4}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:2rem;background:var(--paper);color:var(--ink);font:16px/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);border-radius:16px;padding:2.25rem 2.25rem 1.75rem;box-shadow:0 1px 2px rgb(0 0 0/.04),0 12px 32px rgb(0 0 0/.05)}
.status{display:inline-block;margin:0 0 .9rem;padding:.1rem .6rem;border-radius:999px;border:1px solid var(--line);color:var(--soft);font:600 .8rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
h1{margin:0 0 .5rem;font-size:1.45rem;line-height:1.25;letter-spacing:-.015em}
p{margin:0 0 .75rem;overflow-wrap:anywhere}
.fix{margin:1.25rem 0 0;padding:.85rem 1rem;border-left:3px solid var(--mark);background:color-mix(in srgb,var(--mark) 8%,transparent);border-radius:0 8px 8px 0}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;padding:.1em .35em;border-radius:5px;background:color-mix(in srgb,var(--ink) 8%,transparent)}
footer{margin-top:1.5rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.82rem;display:flex;justify-content:space-between;gap:.25rem 1rem;flex-wrap:wrap}
`

/** Nothing may be loaded and nothing may run: the page is text. */
export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`

/** A page of its own, without anything from elsewhere. */
export function problemPage({ status, title, error, retryAfter }: Problem, requestId: string): string {
  const refresh = retryAfter === undefined ? '' : `<meta http-equiv="refresh" content="${retryAfter}">`
  const again = retryAfter === undefined ? '' : '<span>This page tries again by itself.</span>'
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">${refresh}<title>${escape(title)} · Cove</title><style>${STYLE}</style></head>
<body><main><div class="status">${status}</div><h1>${escape(title)}</h1><p>${withCode(`${sentence(error.message)}.`)}</p>
<p class="fix">${withCode(error.fix)}</p>
<footer><span>Cove preview · request ${escape(requestId)}</span>${again}</footer></main></body></html>
`
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Code is set between backquotes in every message. */
function withCode(text: string): string {
  return escape(text).replace(/`([^`]{1,200})`/g, '<code>$1</code>')
}

const NAMES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (one) => NAMES[one] ?? '')
}
