import type { OpenMachineOptions, PageMachine } from '@machinist/host-browser'
import { beforeEach, expect, test, vi } from 'vitest'
import type { MachineElement } from './element.ts'
import type { Screen } from './screen.ts'

/** As much of an element as this one uses. */
class FakeElement extends EventTarget {
  textContent = ''
  readonly attributes = new Map<string, string>()
  readonly children: FakeElement[] = []
  adoptedStyleSheets: readonly unknown[] = []
  append(...nodes: FakeElement[]): void { this.children.push(...nodes) }
  remove(): void { this.children.length = 0 }
  setAttribute(name: string, value: string): void { this.attributes.set(name, value) }
  getAttribute(name: string): string | null { return this.attributes.get(name) ?? null }
  hasAttribute(name: string): boolean { return this.attributes.has(name) }
  querySelectorAll(): FakeElement[] { return [] }
  attachShadow(): FakeElement { return new FakeElement() }
}

const made = new Map<string, new () => Omit<FakeElement, 'addEventListener'> & MachineElement & { connectedCallback(): void; disconnectedCallback(): void }>()
vi.stubGlobal('HTMLElement', FakeElement)
vi.stubGlobal('customElements', { get: (name: string) => made.get(name), define: (name: string, element: never) => { made.set(name, element) } })
vi.stubGlobal('document', { createElement: () => new FakeElement(), baseURI: 'http://page.invalid/' })
vi.stubGlobal('CSSStyleSheet', class { replaceSync(): void {} })
vi.stubGlobal('MutationObserver', class { observe(): void {} disconnect(): void {} })

/** What was opened, and what of it is still there. */
const log: string[] = []
const screens: ((screen: Screen) => void)[] = []
const machines: { readonly name: string; readonly options: OpenMachineOptions; readonly open: () => void; readonly fail: (error: Error) => void }[] = []

vi.mock('@xterm/xterm/css/xterm.css', () => ({ default: '' }))
vi.mock('./screen.ts', () => ({ openScreen: () => new Promise<Screen>((resolve) => { screens.push(resolve) }) }))
vi.mock('@machinist/host-browser', () => ({
  openMachine: (what: { readonly name?: string; readonly snapshot?: string }, options: OpenMachineOptions) => new Promise<PageMachine>((resolve, reject) => {
    const { name = String(what.snapshot) } = what
    log.push(`open ${name}`)
    let opened = false
    options.signal?.addEventListener('abort', () => {
      if (!opened) log.push(`${name} given up`)
      reject(new Error('given up'))
    })
    const machine = {
      name, on: () => () => undefined,
      start: () => { log.push(`start ${name}`); return Promise.resolve() },
      dispose: async () => {
        await turn()
        log.push(`${name} disposed of`)
      },
    }
    machines.push({ name, options, open: () => { opened = true; resolve(machine as unknown as PageMachine) }, fail: reject })
  }),
}))

const turn = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 0) })
const screen = (name: string): Screen => ({ text: name, size: { columns: 80, rows: 24 }, fit: () => undefined, connect: () => { log.push(`${name} connected`) }, focus: () => undefined, dispose: () => { log.push(`${name} gone`) } })
const description = (name: string): never => ({ name }) as never

beforeEach(() => { log.length = screens.length = machines.length = 0 })

async function element(): Promise<InstanceType<NonNullable<ReturnType<typeof made.get>>>> {
  const { defineMachineElement } = await import('./element.ts')
  defineMachineElement()
  return new (made.get('machinist-machine')!)()
}

test('a load that is overtaken while its terminal comes leaves nothing', async () => {
  const here = await element()
  const first = expect(here.load(description('one'))).rejects.toMatchObject({ code: 'disposed' })
  const second = here.load(description('two'))
  expect(screens).toHaveLength(2)
  screens[0]!(screen('late'))
  await first
  screens[1]!(screen('last'))
  await vi.waitFor(() => { expect(machines).toHaveLength(1) })
  machines[0]!.open()
  await second
  expect(log).toEqual(['late gone', 'open two', 'last connected', 'start two'])
  expect(here.text).toBe('last')
  expect(here.machine?.name).toBe('two')
})

test('a load that is overtaken while its machine is made is given up, and the next waits until the last has let go', async () => {
  const here = await element()
  const errors: unknown[] = []
  here.addEventListener('machine-error', ({ detail }) => { errors.push(detail) })
  const first = here.load(description('one'))
  screens[0]!(screen('a'))
  await vi.waitFor(() => { expect(machines).toHaveLength(1) })
  machines[0]!.open()
  await first
  const second = expect(here.load(description('two'))).rejects.toThrow('given up')
  screens[1]!(screen('b'))
  await vi.waitFor(() => { expect(machines).toHaveLength(2) })
  const third = here.load(description('three'))
  screens[2]!(screen('c'))
  await second
  await vi.waitFor(() => { expect(machines).toHaveLength(3) })
  machines[2]!.open()
  await third
  expect(log).toEqual(['open one', 'a connected', 'start one', 'a gone', 'one disposed of', 'open two', 'two given up', 'b gone', 'open three', 'c connected', 'start three'])
  expect(errors).toEqual([])
})

test('an element that leaves its page while it loads leaves nothing; an address that is none is told', async () => {
  const here = await element()
  here.setAttribute('src', 'machine.json')
  here.connectedCallback()
  here.disconnectedCallback()
  screens[0]!(screen('late'))
  await turn()
  expect(log).toEqual(['late gone'])
  expect(here.machine).toBeNull()
  const errors: unknown[] = []
  here.addEventListener('machine-error', ({ detail }) => { errors.push(detail) })
  here.setAttribute('src', 'http://')
  here.connectedCallback()
  screens[1]!(screen('next'))
  await turn()
  expect(errors).toMatchObject([{ code: 'machine-load', value: 'http://' }])
})

test('an element with a snapshot goes on from that', async () => {
  const element = new (made.get('machinist-machine') as NonNullable<ReturnType<typeof made.get>>)()
  element.setAttribute('snapshot', 'booted.snapshot')
  element.connectedCallback()
  screens[0]?.(screen('screen'))
  await turn()
  machines[0]?.open()
  await turn()
  expect(log).toEqual(['open booted.snapshot', 'screen connected', 'start booted.snapshot'])
})
