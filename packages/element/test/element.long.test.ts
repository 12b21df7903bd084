/** The element in Debian's Chromium, under a strict policy: Debian boots in it, is typed to by a keyboard, and can script nothing. */
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { guestCommandLine, prepareGuest } from '@machinist/machinist'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bundle, openBrowser, serve, type Site, type SiteFile } from '../../host-browser/test/site.ts'
import type { MachineElement } from '../src/index.ts'

const at = (path: string): string => join(import.meta.dirname, path)
/** Where screenshots go, if anywhere. */
const pictures = process.env['MACHINIST_PICTURES']
let browser: Browser
let site: Site
let programs: ReadonlyMap<string, Uint8Array>

beforeAll(async () => {
  const guest = await prepareGuest()
  programs = await bundle({ 'element': at('../src/index.ts'), 'riscv.worker': at('../../host-browser/src/riscv.worker.ts') })
  const machine = { board: 'virt', kernel: 'kernel', initrd: 'initrd', append: guestCommandLine({ console: 'ttyS0', quiet: true, rows: 24, columns: 80, term: 'xterm-256color' }) }
  site = await serve(new Map<string, SiteFile>([
    ...programs,
    ['/', '<!doctype html><title>untouched</title><script type="module" src="/element.js"></script><machinist-machine src="debian/machine.json"></machinist-machine>'],
    ['/none.html', '<!doctype html><script type="module" src="/element.js"></script><machinist-machine src="nowhere.json"></machinist-machine>'],
    ['/debian/machine.json', JSON.stringify(machine)], ['/debian/kernel', { path: guest.kernel }], ['/debian/initrd', { path: guest.initrd }],
  ]), { isolated: true, policy: "default-src 'none'; connect-src 'self'; worker-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'" })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser.close()
  site.close()
})

const here = 'document.querySelector("machinist-machine")'
const text = (page: Page): Promise<string> => page.evaluate(`${here}.text`)

/** Asks until it is so: a policy without `unsafe-eval` is kept to by the browser's own questions, too. */
async function until(page: Page, question: string): Promise<void> {
  const end = performance.now() + 240_000
  while (!await page.evaluate(question)) {
    if (performance.now() > end) throw new Error(`${question} is not so: ${await text(page)}`)
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }
}

const shows = (page: Page, what: string): Promise<void> => until(page, `${here}.text.includes(${JSON.stringify(what)})`)

it('boots Debian, takes keys, draws it, and lets a guest script nothing', async () => {
  const page = await browser.newPage()
  const dialogs: string[] = []
  page.on('dialog', (dialog) => {
    dialogs.push(dialog.message())
    void dialog.dismiss()
  })
  await page.goto(site.url)
  await shows(page, ':~#')
  await page.click('machinist-machine')
  await page.keyboard.type('echo $((6 * 7)) answers\n')
  await shows(page, '42 answers')
  // A title, a link, markup: what a guest prints is text.
  await page.keyboard.type(String.raw`printf '\033]0;mine\007\033]8;;javascript:alert(1)\007\033[1;32mlink\033[0m\033]8;;\007 <img src=x onerror=alert(2)> \033]52;c;aGk=\007over\n'` + '\n')
  await shows(page, '\nlink <img src=x onerror=alert(2)> over')
  await page.keyboard.type('clear; ls -l /; uname -srm\n')
  await shows(page, 'deb13-riscv64 riscv64')
  if (pictures !== undefined) await page.screenshot({ path: join(pictures, 'element.png') })
  // Rows are drawn, with the terminal's own styles, which the policy keeps out of its elements.
  const drawn = await page.evaluate(`(() => {
    const { shadowRoot } = ${here}
    const row = shadowRoot.querySelector('.xterm-rows > div')
    return { height: row.getBoundingClientRect().height, images: shadowRoot.querySelectorAll('img, a').length, cursor: getComputedStyle(shadowRoot.querySelector('.xterm-screen')).position }
  })()`) as { readonly height: number }
  expect(drawn).toMatchObject({ images: 0, cursor: 'relative' })
  expect(drawn.height).toBeGreaterThan(10)
  expect(drawn.height).toBeLessThan(30)
  expect(await page.title()).toBe('untouched')
  expect(dialogs).toEqual([])
  const events = page.evaluate(`new Promise((resolve) => ${here}.addEventListener('machine-power', ({ detail }) => resolve(detail)))`)
  await page.keyboard.type('poweroff\n')
  expect(await events).toEqual({ status: 0, by: 'guest' })
  await page.evaluate(`${here}.remove()`)
  expect(await text(page).catch(() => 'gone')).toBe('gone')
  await page.close()
})

it('says what is wrong, as text, and tells of it', async () => {
  const page = await browser.newPage()
  await page.goto(`${site.url}/none.html`)
  await until(page, `${here}.shadowRoot?.querySelector('[part=status]')?.textContent.includes('nowhere.json')`)
  const code = await page.evaluate(async () => {
    const element = (globalThis as unknown as { document: { querySelector(name: string): MachineElement } }).document.querySelector('machinist-machine')
    return element.load({ board: 'pdp' } as never).catch((error: unknown) => (error as { readonly code: string }).code)
  })
  expect(code).toBe('machine-description')
  await page.close()
})

it('is as large as the design note tells', () => {
  const size = gzipSync(programs.get('/element.js') ?? new Uint8Array(), { level: 9 }).length / 1000
  process.stderr.write(`the element with its terminal: ${size.toFixed(0)} KB\n`)
  expect(size).toBeLessThan(1.1 * 100)
  expect(size).toBeGreaterThan(50)
})
