/** Pictures on buttons: paths of a square of 20. */
const PATHS = {
  start: 'M7 4.5v11l8.5-5.5z',
  pause: 'M7 4.5v11M13 4.5v11',
  power: 'M10 3v7M6 5.5a6 6 0 108 0',
  plug: 'M7 3v4M13 3v4M5 7h10v3a5 5 0 01-10 0zM10 15v3',
  snapshot: 'M3 6.5h3l1.5-2h5l1.5 2h3v9H3zM10 8.2a2.6 2.6 0 100 5.2 2.6 2.6 0 000-5.2',
  fork: 'M6 3v5.5a3 3 0 003 3h2a3 3 0 013 3V17M6 3v14M4 15l2 2 2-2M12 15l2 2 2-2',
  remove: 'M5 5l10 10M15 5L5 15',
} as const

export type Icon = keyof typeof PATHS

const SVG = 'http://www.w3.org/2000/svg'

function picture(icon: Icon): SVGElement {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 20 20')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', PATHS[icon])
  svg.append(path)
  return svg
}

/** A button with a picture, and its name for those who do not see it. */
export function iconButton(icon: Icon, label: string, press: () => void): HTMLButtonElement {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'icon'
  button.addEventListener('click', press)
  relabel(button, icon, label)
  return button
}

export function relabel(button: HTMLButtonElement, icon: Icon, label: string): void {
  if (button.title === label) return
  button.replaceChildren(picture(icon))
  button.title = label
  button.setAttribute('aria-label', label)
}
