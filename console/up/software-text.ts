// `bramble software status` as text for a terminal.
import type { RolloutView, SoftwareView } from '../routes/shapes.ts'

const MIB = 1024 * 1024

const ringLine = ({ name, open, boards }: RolloutView['rings'][number]): string => {
  const counts = Object.entries(boards).flatMap(([place, count]) => (count > 0 ? [`${count} ${place}`] : []))
  return `  ${open ? '*' : ' '} ${name.padEnd(10)} ${counts.join(', ') || 'no board'}`
}

const rolloutText = ({ version, state, reason, rings, without }: RolloutView): string =>
  [
    `Rollout of ${version}: ${state}${reason === undefined ? '' : ` (${reason})`}`,
    ...rings.map(ringLine),
    ...(without > 0 ? [`    ${without} without a release that they can run`] : []),
  ].join('\n')

const boardLine = ({ device, version, state, progress, percent, reason }: SoftwareView['boards'][number]): string => {
  const how = progress === undefined ? state : `${state}, ${progress}${percent === undefined ? '' : ` ${percent} %`}`
  return `  ${device.name.padEnd(28)} ${version.padEnd(12)} ${how}${reason === undefined ? '' : `: ${reason}`}`
}

/** A star stands before the rings that are open. */
export function softwareText({ releases, rollout, boards }: SoftwareView): string {
  const known = releases.map(
    ({ version, arch, publisher, trusted, bytes }) =>
      `  ${version.padEnd(12)} ${arch.padEnd(6)} ${(bytes / MIB).toFixed(0).padStart(4)} MiB  ${publisher}${trusted ? '' : ' (revoked)'}`,
  )
  return [
    known.length === 0
      ? 'No version of the agent was published: make one with npm run firmware:release, then bramble software publish FOLDER'
      : ['Releases', ...known].join('\n'),
    ...(rollout ? [rolloutText(rollout)] : []),
    ['Boards', ...boards.map(boardLine)].join('\n'),
  ].join('\n\n')
}
