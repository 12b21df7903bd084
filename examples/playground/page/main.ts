/** The playground: machines side by side, on one network. */
import '@machinist/element'
import { addressesOfTab, type Locks } from './addresses.ts'
import { ask } from './ask.ts'
import { type Card, makeCard, type Wanted } from './card.ts'
import { fromLink, type Guest, GUESTS, MEMORY, MOST_MACHINES, MOST_MEMORY, NETWORK, type SharedMachine, toLink } from './link.ts'
import { ownMachines } from './own.ts'
import { showTop } from './top.ts'

const NAMES: readonly string[] = ['ada', 'alan', 'grace', 'linus', 'ken', 'radia', 'barbara', 'dennis']

function byId(id: string): HTMLElement {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`the page has no #${id}`)
  return found
}

const [list, empty, notice, said, share] = [byId('cards'), byId('empty'), byId('notice'), byId('said'), byId('share') as HTMLButtonElement]
const cards: Card[] = []
/** Tabs share networks: each has addresses of its own. */
const nextAddress = await addressesOfTab(('locks' in navigator) ? navigator.locks as Locks : null)

const isFree = (name: string): boolean => !cards.some(({ wanted }) => wanted.name === name)

function freeName(): string {
  for (let round = 1; ; round++) for (const name of NAMES) if (isFree(round === 1 ? name : `${name}${round}`)) return round === 1 ? name : `${name}${round}`
}

/** As text, whatever is in it. */
function tell(message: string): void {
  notice.textContent = message
  notice.hidden = message === ''
}

const inLink = (): readonly SharedMachine[] => cards.filter(({ wanted }) => wanted.own === null).map(({ wanted: { guest, name, memory, network } }) => ({ guest, name, memory, network }))

/** What follows from what machines there are. */
function changed(): void {
  empty.hidden = cards.length > 0
  document.body.classList.toggle('some', cards.length > 0)
  share.disabled = inLink().length === 0
  const link = toLink(inLink())
  if (location.hash.slice(1) !== link) history.replaceState(null, '', link === '' ? location.pathname + location.search : `#${link}`)
}

function add(wanted: Wanted): void {
  const memory = cards.reduce((sum, card) => sum + card.wanted.memory, wanted.memory)
  if (cards.length >= MOST_MACHINES || memory > MOST_MEMORY) {
    tell(`No room for another machine: this page holds ${MOST_MACHINES} of them, with ${MOST_MEMORY} MiB in all. Remove one first.`)
    return
  }
  tell('')
  const card = makeCard(wanted, nextAddress(cards.map(({ address }) => address)), (state) => { said.textContent = `${wanted.name}: ${state}` }, () => { remove(card) }, (snapshot) => { copy(card, snapshot) })
  cards.push(card)
  list.append(card.node)
  changed()
}

function remove(card: Card): void {
  const at = cards.indexOf(card)
  if (at < 0) return
  cards.splice(at, 1)
  const hadFocus = card.node.contains(document.activeElement)
  card.node.remove()
  changed()
  if (hadFocus) (cards[Math.min(at, cards.length - 1)]?.node.querySelector<HTMLElement>('button:not(:disabled)') ?? byId('two')).focus()
}

/** A machine that goes on from where another one is. It has the addresses of that, so it is on no network. */
function copy({ wanted }: Card, snapshot: Blob): void {
  add({ ...wanted, name: freeName(), network: null, own: { snapshot, kernel: null, initrd: null, disks: [], append: '' } })
}

function debian(guest: Guest): void {
  add({ guest, name: freeName(), memory: MEMORY, network: NETWORK, own: null })
}

const atWork = (): number => cards.filter(({ state }) => state !== 'off' && state !== 'failed').length

/** Has the machines of the link in the place of those that are there, which its user is asked for: whoever gave him a link may not end them. */
async function reopen(): Promise<void> {
  let wanted: readonly SharedMachine[]
  try {
    wanted = fromLink(location.hash)
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error))
    return
  }
  const busy = atWork()
  if (busy > 0 && !await ask(byId('reopen-dialog') as HTMLDialogElement, busy === 1 ? 'One machine is at work on this page. It ends when the link is opened here, and what it wrote is lost.' : `${busy} machines are at work on this page. They end when the link is opened here, and what they wrote is lost.`)) {
    // The address tells again what is there.
    changed()
    return
  }
  for (const card of [...cards]) remove(card)
  for (const one of wanted) add({ ...one, own: null })
  changed()
}

for (const button of document.querySelectorAll<HTMLElement>('[data-guest]')) {
  const guest = GUESTS.find((each) => each === button.dataset['guest'])
  if (guest !== undefined) button.addEventListener('click', () => { debian(guest) })
}
byId('two').addEventListener('click', () => {
  debian('riscv64')
  debian('amd64')
})
const openOwn = ownMachines(byId('own-dialog') as HTMLDialogElement, byId('drop'), freeName, isFree, add)
byId('own').addEventListener('click', () => { openOwn() })

share.addEventListener('click', () => {
  const own = cards.length - inLink().length
  navigator.clipboard.writeText(location.href).then(
    () => { said.textContent = `The link is copied: it opens ${inLink().length === 1 ? 'this machine' : 'these machines'} anew.${own > 0 ? ' Those of your own files are not in it.' : ''}` },
    () => { said.textContent = "The link is in the address bar: copy it there." },
  ).then(() => { said.classList.add('shown') }, () => undefined)
  setTimeout(() => { said.classList.remove('shown') }, 4000)
})

// The fragment is the machines' own.
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault()
  byId('machines').focus()
})
// Another link that is put into this tab.
addEventListener('hashchange', () => { if (location.hash.slice(1) !== toLink(inLink())) void reopen() })

const top = showTop(byId('top'), () => cards)
const tick = (): void => { void top().finally(() => { setTimeout(tick, 1000) }) }
tick()
void reopen()
