import { Linter } from 'eslint'
import tseslint from 'typescript-eslint'
import { describe, expect, it } from 'vitest'
import { portabilityRules } from '../lint/portability.mjs'

/** How often the rules of a package object to a source text. */
function objections(name: string, floor: number, text: string): number {
  const messages = new Linter().verify(text, [{ files: ['**/*.ts'], languageOptions: { parser: tseslint.parser as Linter.Parser }, rules: portabilityRules(name, floor) }], 'source.ts')
  expect(messages.filter((message) => message.fatal)).toEqual([])
  return messages.length
}

describe('the portability rules', () => {
  const forbidden = [
    `import { readFileSync } from 'node:fs'`, `import fs from 'fs'`, `import type { Stats } from 'node:fs'`, `export * from 'node:path'`, `const fs = await import('node:fs')`,
    'const now = Date.now()', 'const now = new Date()', 'const x = Math.random()', 'const { random } = Math', 'setTimeout(f, 1)', 'const t = performance.now()',
    'const d = new TextDecoder()', 'const e = new TextEncoder()', 'const c = structuredClone({})', 'const b = Buffer.alloc(1)', 'function f(b: Buffer): void {}', `console.log('x')`,
    'const g = globalThis.process', 'document.title', 'const u = import.meta.url', 'queueMicrotask(f)', 'const s = crypto.subtle',
  ]
  for (const text of forbidden) it(`object on floors 0 to 5 to: ${text}`, () => expect(objections('devices', 3, text)).toBeGreaterThan(0))

  it('leave the floors above alone', () => {
    for (const text of forbidden) expect(objections('host-node', 6, text)).toBe(0)
  })

  it('let only those name WebAssembly who may', () => {
    const text = 'const m = new WebAssembly.Memory({ initial: 1 })'
    for (const name of ['wasm', 'cpu-riscv', 'cpu-x86', 'translator']) expect(objections(name, 3, text)).toBe(0)
    expect(objections('host-node', 6, text)).toBe(0)
    for (const name of ['memory', 'mmu', 'softfloat', 'machine']) expect(objections(name, 2, text)).toBeGreaterThan(0)
    expect(objections('memory', 1, 'export function of(memory: WebAssembly.Memory): void {}')).toBeGreaterThan(0)
  })

  it('know a name of their own from a global one', () => {
    expect(objections('devices', 3, 'export function f(process: number, location: number): number { return process + location }')).toBe(0)
    expect(objections('devices', 3, 'const x = Math.min(1, 2); const y = { console: 1 }.console; const b = 1n; const a = new Uint8Array(4)')).toBe(0)
  })
})
