/** A machine on the page: its name and state, its buttons, its terminal. */
import type { MachineDescription, MachineElement, PageMachine } from '@machinist/element'
import { iconButton, relabel } from './icons.ts'
import type { SharedMachine } from './link.ts'

/** A machine as the page has it. */
export interface Wanted extends Omit<SharedMachine, 'memory'> {
  readonly memory: number
  /** Files of the user's; a machine with some is in no link. */
  readonly own: OwnFiles | null
}

export interface OwnFiles {
  /** A machine that was saved, in the place of all else. */
  readonly snapshot: Blob | null
  readonly kernel: File | null
  readonly initrd: File | null
  readonly disks: readonly File[]
  readonly append: string
}

export interface Card {
  readonly wanted: Wanted
  /** Of IPv4, on its network. */
  readonly address: string
  readonly node: HTMLElement
  readonly machine: PageMachine | null
  /** What it is at, as its user is told. */
  readonly state: State
  focus(): void
}

export type State = 'loading' | 'booting' | 'running' | 'paused' | 'stopping' | 'off' | 'failed'

const TEXT: Readonly<Record<State, string>> = { loading: 'Loading', booting: 'Booting', running: 'Running', paused: 'Paused', stopping: 'Powering off', off: 'Off', failed: 'Failed' }
const LABEL = { riscv64: 'Debian riscv64', amd64: 'Debian amd64', i386: 'Debian i386' } as const
const OWN_LABEL = { riscv64: 'RISC-V', amd64: 'PC, 64 bit', i386: 'PC, 32 bit' } as const
/** Keys that phones do not have. */
const KEYS: readonly (readonly [name: string, label: string, sends: string])[] = [['Esc', 'Escape', '\x1b'], ['Tab', 'Tab', '\t'], ['^C', 'Control C', '\x03'], ['^D', 'Control D', '\x04'], ['↑', 'Up', '\x1b[A'], ['↓', 'Down', '\x1b[B']]

const loaded = new Map<string, Promise<Blob>>()

/** A file of this site, loaded once for all machines. */
function fileAt({ href }: URL): Promise<Blob> {
  const known = loaded.get(href)
  if (known !== undefined) return known
  const loading = fetch(href).then((response) => {
    if (!response.ok) throw new Error(`${href} is not served (${response.status}).`)
    return response.blob()
  })
  loaded.set(href, loading)
  loading.catch(() => { loaded.delete(href) })
  return loading
}

function download(file: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = name
  link.click()
  setTimeout(() => { URL.revokeObjectURL(link.href) }, 60_000)
}

/** What is served for Debian, with what this machine has of its own. */
async function describe({ guest, name, memory, network, own }: Wanted, address: string): Promise<{ readonly description: MachineDescription; readonly files: Readonly<Record<string, Blob>> }> {
  // It has addresses of its own, which others may have by now.
  if (own?.snapshot) return { description: { snapshot: own.snapshot, unplug: true, name, cpu: guest === 'riscv64' ? 'riscv' : 'x86' }, files: {} }
  const folder = new URL(`guests/${guest}/`, document.baseURI)
  const debian = JSON.parse(await (await fileAt(new URL('machine.json', folder))).text()) as { readonly append: string }
  const files: Record<string, Blob> = {}
  const file = async (kind: string, given: File | null | undefined): Promise<string> => {
    const named = given ? `${kind}/${given.name}` : kind
    files[named] = given ?? await fileAt(new URL(kind, folder))
    return named
  }
  const words = own?.kernel ? ['console=hvc0'] : [debian.append, `machinist.hostname=${name}`, ...(network === null ? [] : [`machinist.address=${address}/16`])]
  const description = {
    ...debian, memory: `${memory}M`, kernel: await file('kernel', own?.kernel), append: [...words, own?.append ?? ''].join(' ').trim(),
    ...(own?.kernel && own.initrd === null ? { initrd: undefined } : { initrd: await file('initrd', own?.initrd) }),
    ...(network !== null && { nets: [{ type: 'switch', name: network }] }),
    ...(own !== null && { disks: await Promise.all(own.disks.map(async (disk, at) => ({ type: 'disk', path: await file(`disk${at}`, disk), mode: 'overlay' }))) }),
  }
  return { description: JSON.parse(JSON.stringify(description)) as MachineDescription, files }
}

/**
 * @param address - of IPv4, which nobody else on its network has
 * @param changed - called when its state is another
 * @param forked - called with what a copy of it begins with
 */
export function makeCard(wanted: Wanted, address: string, changed: (state: State) => void, removed: () => void, forked: (snapshot: Blob) => void): Card {
  const node = document.createElement('li')
  node.className = 'card'
  const title = document.createElement('h3')
  title.id = `title-${wanted.name}`
  title.textContent = wanted.name
  const about = document.createElement('p')
  about.textContent = [
    wanted.own?.snapshot ? `${OWN_LABEL[wanted.guest]}, from a snapshot` : wanted.own?.kernel ? OWN_LABEL[wanted.guest] : LABEL[wanted.guest],
    ...(wanted.network === null ? ['no network'] : [wanted.own?.kernel ? wanted.network : `${address}`]),
    ...wanted.own?.disks.map((disk, at) => `${disk.name} is vd${String.fromCharCode(97 + at)}`) ?? [],
  ].join(' · ')
  const badge = document.createElement('span')
  badge.className = 'badge'
  const names = document.createElement('div')
  names.className = 'names'
  names.append(title, badge, about)

  const terminal = document.createElement('machinist-machine') as unknown as MachineElement & HTMLElement
  for (const [name, value] of Object.entries({ 'fit': '', 'font-size': matchMedia('(max-width: 40rem)').matches ? '12' : '13', 'role': 'group', 'aria-label': `Terminal of ${wanted.name}` })) terminal.setAttribute(name, value)
  let state: State = 'loading'

  const toggle = iconButton('pause', 'Pause', () => {
    const { machine } = terminal
    if (machine === null || machine.state === 'off') void load()
    else void (machine.state === 'paused' ? machine.resume() : machine.pause()).catch(fail)
  })
  const power = iconButton('power', 'Power off', () => { void powerOff().catch(fail) })
  const save = iconButton('snapshot', 'Save a snapshot', () => { void keep(true).then((snapshot) => { if (snapshot !== null) download(snapshot, `${wanted.name}.snapshot`) }) })
  const fork = iconButton('fork', 'Make a copy', () => { void keep(false).then((snapshot) => { if (snapshot !== null) forked(snapshot) }) })
  const remove = iconButton('remove', 'Remove', removed)
  const buttons = document.createElement('div')
  buttons.className = 'buttons'
  buttons.append(toggle, save, fork, power, remove)
  const head = document.createElement('div')
  head.className = 'head'
  head.append(names, buttons)

  const keys = document.createElement('div')
  keys.className = 'keys'
  keys.setAttribute('role', 'group')
  keys.setAttribute('aria-label', 'Keys')
  for (const [name, label, sends] of KEYS) {
    const key = document.createElement('button')
    key.type = 'button'
    key.textContent = name
    key.setAttribute('aria-label', label)
    // The soft keyboard stays.
    key.addEventListener('pointerdown', (event) => { event.preventDefault() })
    key.addEventListener('click', () => { terminal.machine?.type(sends) })
    keys.append(key)
  }
  node.setAttribute('aria-labelledby', title.id)
  node.append(head, terminal, keys)

  const enter = (next: State): void => {
    state = next
    node.dataset['state'] = next
    badge.textContent = TEXT[next]
    const stands = next === 'paused' || next === 'off' || next === 'failed'
    relabel(toggle, stands ? 'start' : 'pause', next === 'paused' ? 'Resume' : stands ? 'Start' : 'Pause')
    relabel(power, next === 'stopping' ? 'plug' : 'power', next === 'stopping' ? 'Pull the plug' : 'Power off')
    toggle.disabled = next === 'loading' || next === 'stopping'
    power.disabled = next === 'loading' || next === 'off' || next === 'failed'
    for (const each of [save, fork]) each.disabled = next !== 'running' && next !== 'paused'
    changed(next)
  }
  const fail = (error: unknown): void => {
    // One that was removed has nobody to tell.
    if (!node.isConnected) return
    enter('failed')
    complain(error)
  }
  function complain(error: unknown): void {
    const line = document.createElement('p')
    line.className = 'error'
    line.setAttribute('role', 'alert')
    line.textContent = error instanceof Error ? error.message : String(error)
    node.querySelector('.error')?.remove()
    head.after(line)
  }
  /** All of the machine, which goes on meanwhile; null when that fails, which is told. */
  async function keep(compressed: boolean): Promise<Blob | null> {
    for (const each of [save, fork]) each.disabled = true
    node.setAttribute('aria-busy', 'true')
    try {
      return await terminal.machine?.snapshot({ compressed }) ?? null
    } catch (error) {
      complain(error)
      return null
    } finally {
      node.removeAttribute('aria-busy')
      for (const each of [save, fork]) each.disabled = state !== 'running' && state !== 'paused'
    }
  }
  async function powerOff(): Promise<void> {
    const { machine } = terminal
    if (machine === null) return
    if (machine.state === 'paused') await machine.resume()
    if (state === 'stopping' || !await machine.pressPowerButton()) await machine.powerOff()
    else if (machine.state === 'running') enter('stopping')
  }
  async function load(): Promise<void> {
    enter('loading')
    node.querySelector('.error')?.remove()
    try {
      const { description, files } = await describe(wanted, address)
      await terminal.load(description, files)
    } catch (error) {
      fail(error)
    }
  }
  let spoke = false
  terminal.addEventListener('machine-open', ({ detail: machine }) => {
    spoke = false
    const end = machine.on('output', () => {
      end()
      spoke = true
      if (state === 'booting') enter('running')
    })
  })
  terminal.addEventListener('machine-state', ({ detail: { to } }) => {
    if (to === 'running') enter(spoke ? 'running' : 'booting')
    else if (to === 'paused' || to === 'off') enter(to)
  })
  terminal.addEventListener('machine-error', ({ detail }) => { fail(detail) })
  // Keys are the guest's, but one that leads out.
  terminal.addEventListener('keydown', (event: KeyboardEvent) => {
    if (event.key !== 'F6') return
    event.preventDefault()
    event.stopPropagation()
    if (event.shiftKey) terminal.focus()
    else toggle.focus()
  }, { capture: true })
  terminal.addEventListener('click', () => { terminal.focus() })
  enter('loading')
  queueMicrotask(() => { void load() })
  return { wanted, address, node, get machine() { return terminal.machine }, get state() { return state }, focus: () => { terminal.focus() } }
}
