/** A machine of the user's own files: picked in a form, or dropped on the page. */
import type { OwnFiles, Wanted } from './card.ts'
import { GUESTS, isName, MEMORY } from './link.ts'

/** What a file is taken for by its name. */
function kindOf({ name }: File): 'snapshot' | 'kernel' | 'initrd' | 'disks' {
  if (/\.snapshot$/i.test(name)) return 'snapshot'
  if (/initr|\.cpio/i.test(name)) return 'initrd'
  return /^(?:b?z?image|vmlinu[xz])(?:$|[.-])/i.test(name) && !/\.(?:img|raw|qcow2?)$/i.test(name) ? 'kernel' : 'disks'
}

function listOf(files: readonly File[]): FileList {
  const transfer = new DataTransfer()
  for (const file of files) transfer.items.add(file)
  return transfer.files
}

/**
 * @param freeName - a name that no machine has
 * @param isFree - whether no machine has it
 * @returns opens the form, with files that were dropped
 */
export function ownMachines(dialog: HTMLDialogElement, drop: HTMLElement, freeName: () => string, isFree: (name: string) => boolean, add: (wanted: Wanted) => void): (files?: readonly File[]) => void {
  const form = dialog.querySelector('form') as HTMLFormElement
  const field = (name: string): HTMLInputElement => form.elements.namedItem(name) as HTMLInputElement
  const name = field('name')

  const open = (files: readonly File[] = []): void => {
    form.reset()
    name.value = freeName()
    name.setCustomValidity('')
    for (const kind of ['snapshot', 'kernel', 'initrd', 'disks']) field(kind).files = listOf(files.filter((file) => kindOf(file) === kind).slice(0, kind === 'disks' ? 8 : 1))
    if (!dialog.open) dialog.showModal()
  }
  name.addEventListener('input', () => { name.setCustomValidity(isFree(name.value) ? '' : 'Another machine is called so.') })
  dialog.addEventListener('close', () => {
    if (dialog.returnValue !== 'start') return
    const first = (kind: string): File | null => field(kind).files?.[0] ?? null
    const own: OwnFiles = { snapshot: first('snapshot'), kernel: first('kernel'), initrd: first('initrd'), disks: [...field('disks').files ?? []].slice(0, 8), append: field('append').value.trim() }
    const network = field('network').value
    add({ name: name.value, guest: GUESTS.find((each) => each === field('guest').value) ?? 'riscv64', memory: Number(field('memory').value) || MEMORY, network: isName(network) && own.snapshot === null ? network : null, own })
  })

  let depth = 0
  const over = (by: number): void => {
    depth = Math.max(0, depth + by)
    drop.hidden = depth === 0
  }
  const hasFiles = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes('Files') === true
  addEventListener('dragenter', (event) => { if (hasFiles(event)) over(1) })
  addEventListener('dragleave', (event) => { if (hasFiles(event)) over(-1) })
  addEventListener('dragover', (event) => { if (hasFiles(event)) event.preventDefault() })
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    over(-depth)
    open([...event.dataTransfer?.files ?? []])
  })
  return open
}
