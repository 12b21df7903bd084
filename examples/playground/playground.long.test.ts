/** The playground as it is built, in Debian's Chromium: machines of a link boot, ping each other, pause and go on, and come again with the link. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openBrowser, serve, type Site, type SiteFile } from '../../packages/host-browser/test/site.ts'

const PATIENCE = 240_000
/** Where screenshots go, if anywhere. */
const pictures = process.env['MACHINIST_PICTURES']
const folder = mkdtempSync(join(tmpdir(), 'machinist-playground-'))
let browser: Browser
let site: Site

beforeAll(async () => {
  const { ensureBuild } = await import(new URL('../../scripts/lib/workspace.mjs', import.meta.url).href) as { ensureBuild(name: string, product: string): Promise<void> }
  await ensureBuild('@machinist/machinist', 'packages/machinist/dist/cli.cjs')
  await ensureBuild('@machinist/element', 'packages/element/dist/index.js')
  // In a process of its own, which finds packages as they are built.
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'node_modules/vite/bin/vite.js'), 'build', '--outDir', folder, '--emptyOutDir', '--logLevel', 'warn'], { cwd: import.meta.dirname })
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => /\.\w+$|\/(?:kernel|initrd)$/.test(path))
  const named = files.map((path): [string, SiteFile] => [`/${path}`, { path: join(folder, path) }])
  site = await serve(new Map<string, SiteFile>([...named, ['/', { path: join(folder, 'index.html') }]]), { isolated: true })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser.close()
  site.close()
  rmSync(folder, { recursive: true })
})

interface Visit {
  readonly page: Page
  /** What went wrong in it, such as what its policy forbids. */
  readonly faults: readonly string[]
}

async function visit(context: BrowserContext, hash: string): Promise<Visit> {
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => { faults.push(error.message) })
  // The terminal makes style elements, which the policy keeps from counting: the element knows.
  page.on('console', (message) => { if (message.type() === 'error' && !message.text().startsWith('Applying inline style')) faults.push(message.text()) })
  page.on('dialog', (dialog) => {
    faults.push(dialog.message())
    void dialog.dismiss()
  })
  await page.goto(`${site.url}/${hash}`)
  return { page, faults }
}

const terminal = (name: string): string => `document.querySelector('[aria-label="Terminal of ${name}"]')`
const state = (page: Page, name: string): Promise<unknown> => page.evaluate(`${terminal(name)}?.closest('li')?.dataset.state`)

/** Asks until it is so: a policy without `unsafe-eval` is kept to by the browser's own questions, too. */
async function until(page: Page, question: string): Promise<void> {
  const end = performance.now() + PATIENCE
  while (!await page.evaluate(question)) {
    if (performance.now() > end) throw new Error(`${question} is not so: ${await page.evaluate<string>('document.body.innerText')}`)
    await new Promise((resolve) => { setTimeout(resolve, 100) })
  }
}

const shows = (page: Page, name: string, what: string): Promise<void> => until(page, `${terminal(name)}?.text.includes(${JSON.stringify(what)})`)

async function type(page: Page, name: string, line: string): Promise<void> {
  await page.locator(`[aria-label="Terminal of ${name}"]`).click()
  await page.keyboard.type(`${line}\n`)
}

it('two machines of a link boot, ping each other, pause and go on, and the link opens them again', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const link = '#machines=riscv64,name=one;riscv64,name=two,memory=128'
  const { page, faults } = await visit(context, link)
  for (const name of ['one', 'two']) await shows(page, name, `root@${name}:~#`)
  const [address] = /10\.0\.\d+\.\d+/.exec(await page.locator('li', { hasText: 'two' }).innerText()) ?? []
  await type(page, 'one', `ping -c 2 -W 20 ${address} >/dev/null && echo rea''ched`)
  await shows(page, 'one', 'reached')
  // The terminal takes the room that it has, and the guest knows.
  await type(page, 'two', 'stty size')
  await until(page, `/\\n\\d{2} \\d{2,3}\\n/.test(${terminal('two')}.text)`)
  const [, rows, columns] = /\n(\d+) (\d+)\n/.exec(await page.evaluate<string>(`${terminal('two')}.text`)) ?? []
  expect([Number(rows) > 15, Number(columns) > 60, `${rows} ${columns}` === '24 80']).toEqual([true, true, false])

  // A link that somebody put into this tab ends nothing unasked, and one that is none says so.
  const machines = (): Promise<unknown> => page.evaluate("document.querySelectorAll('li.card').length")
  for (const [pressed, left] of [['Escape', 2], ['Enter', 2]] as const) {
    await page.evaluate("location.hash = '#machines=riscv64,name=three'")
    await until(page, "document.activeElement.textContent === 'Keep what runs'")
    await page.keyboard.press(pressed)
    await until(page, `location.hash === ${JSON.stringify(link)}`)
    expect(await machines()).toBe(left)
  }
  await page.evaluate("location.hash = '#machines=none'")
  await until(page, "document.querySelector('#notice').innerText.includes('no such guest')")
  expect(await machines()).toBe(2)

  const two = page.locator('li', { hasText: 'two' })
  await two.getByRole('button', { name: 'Pause' }).click()
  await until(page, `${terminal('two')}.closest('li').dataset.state === 'paused'`)
  await type(page, 'two', 'echo "af"ter')
  await type(page, 'one', `ping -c 1 -W 2 ${address} >/dev/null || echo lo''st`)
  await shows(page, 'one', 'lost')
  expect(await page.evaluate(`${terminal('two')}.text`)).not.toContain('after')
  await two.getByRole('button', { name: 'Resume' }).click()
  await shows(page, 'two', 'after')

  // A copy goes on from where the machine is, with what its terminal showed, and what is saved is a file.
  await type(page, 'two', 'kept=here')
  await two.getByRole('button', { name: 'Make a copy' }).click()
  await shows(page, 'ada', 'after')
  await type(page, 'ada', 'echo $kept a"gain"')
  await shows(page, 'ada', 'here again')
  expect(await page.evaluate(`${terminal('two')}.text`)).not.toContain('again')
  const [saved] = await Promise.all([page.waitForEvent('download', { timeout: PATIENCE }), page.locator('li', { hasText: 'ada' }).getByRole('button', { name: 'Save a snapshot' }).click()])
  expect(saved.suggestedFilename()).toBe('ada.snapshot')
  expect(readFileSync(await saved.path()).subarray(0, 4)).toEqual(Buffer.from([0x8d, 0x4d, 0x53, 0x4e]))
  await page.locator('li', { hasText: 'ada' }).getByRole('button', { name: 'Remove' }).click()

  // Machines have instructions, and memory.
  await until(page, "/one.*\\d MiB/.test(document.querySelector('#top').innerText.replaceAll('\\n', ' '))")
  if (pictures !== undefined) await page.screenshot({ path: join(pictures, 'playground.png') })
  // F6 leads out of a terminal, where Tab is the guest's.
  await page.locator('[aria-label="Terminal of one"]').click()
  await page.keyboard.press('Tab')
  expect(await page.evaluate('document.activeElement.tagName')).toBe('MACHINIST-MACHINE')
  await page.keyboard.press('F6')
  expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe('Pause')

  await two.getByRole('button', { name: 'Power off' }).click()
  await until(page, `${terminal('two')}.closest('li').dataset.state === 'off'`)
  await two.getByRole('button', { name: 'Remove' }).click()
  expect(await page.evaluate('location.hash')).toBe('#machines=riscv64,name=one')
  await page.reload()
  await shows(page, 'one', 'root@one:~#')
  expect(await state(page, 'two')).toBeUndefined()
  await page.evaluate("location.hash = '#machines=riscv64,name=three'")
  await page.getByRole('button', { name: 'Open the link' }).click()
  await until(page, `${terminal('three')} !== null && ${terminal('one')} === null`)
  expect(faults).toEqual([])
  await context.close()
})

it('a hostile link is refused as text, and a small screen holds the page', async () => {
  const context = await browser.newContext({ viewport: { width: 375, height: 720 } })
  const { page, faults } = await visit(context, '#machines=<img/src=x/onerror=alert(1)>,name=a')
  await until(page, "document.querySelector('#notice').innerText.includes('no such guest')")
  expect(await page.evaluate('document.querySelectorAll("img, li").length')).toBe(0)
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(375)
  expect(faults).toEqual([])
  await context.close()
})
