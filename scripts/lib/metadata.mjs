/**
 * What every package's manifest says of the project. It stands once, in the root's package.json (`author`, `repository`), and is
 * written from there into the packages.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, workspacePackages } from './workspace.mjs'

/** A domain that nobody can have (RFC 2606): it stands for the place of publication until there is one. */
const PLACEHOLDER = /\.example$/

/** @param {string} dir @returns {Record<string, any>} */
function readManifest(dir) {
  return JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8'))
}

/** @param {string} dir @param {object} manifest */
function writeManifest(dir, manifest) {
  writeFileSync(join(root, dir, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

/** Where the sources are for people: the repository's address without what git adds. */
export function repositoryPage() {
  return String(readManifest('.').repository.url).replace(/^git\+/, '').replace(/\.git$/, '')
}

/** Whether a place of publication has been configured. */
export function hasRepository() {
  return !PLACEHOLDER.test(new URL(repositoryPage()).hostname)
}

/**
 * The fields of a package's manifest.
 * @param {string} dir the package's folder, relative to the root
 */
export function projectFields(dir) {
  const { author, repository } = readManifest('.')
  const page = repositoryPage()
  return {
    author,
    homepage: `${page}/tree/main/${dir}#readme`,
    bugs: { url: `${page}/issues` },
    repository: { type: 'git', url: repository.url, directory: dir },
  }
}

/** Writes the fields into every package, behind its licence. */
export function writeMetadata() {
  for (const { dir } of workspacePackages(['packages'])) {
    const { author: _1, homepage: _2, bugs: _3, repository: _4, ...manifest } = readManifest(dir)
    const entries = Object.entries(manifest)
    const place = entries.findIndex(([name]) => name === 'license') + 1
    writeManifest(dir, Object.fromEntries([...entries.slice(0, place), ...Object.entries(projectFields(dir)), ...entries.slice(place)]))
  }
}

/**
 * Names another place of publication: the repository's page, as `https://HOST/OWNER/NAME`.
 * @param {string} page
 */
export function setRepository(page) {
  const url = new URL(page)
  if (url.protocol !== 'https:') throw new Error(`${page}: an address that begins with https: is needed.`)
  const manifest = readManifest('.')
  manifest.repository.url = `git+${page.replace(/(?:\.git)?\/*$/, '')}.git`
  writeManifest('.', manifest)
}
