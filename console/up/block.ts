// The one block a person reads when everything answers.
import type { Ready } from './ready.ts'

export interface BlockFacts {
  readonly ready: Ready
  readonly data: string
  readonly wallet: string
  readonly demo: boolean
}

export function blockOf({ ready, data, wallet, demo }: BlockFacts): string {
  const { console: here, mqtt, chain, requester, devices } = ready
  const boards = devices.length === 0 ? 'none yet' : devices.map(({ name }) => name).join(', ')
  const [, host = '', port = ''] = /^\w+:\/\/(.+):(\d+)$/.exec(mqtt.url) ?? []
  return `
  Bramble is running${demo ? ', and a demo pipeline sends it photographs' : ''}.

    Console     ${here.url}/#token=${here.token}
    MQTT        ${mqtt.url}   user ${requester.id}, password in ${data}/ready.json
    Chain       ${chain.rpcUrl}   (a local Solana chain, token ${chain.mint})
    Wallet      ${wallet}   (the boards' owner; tokens arrive within a minute)
    Boards      ${boards}

  Send a picture of your own:

    curl -H "Authorization: Bearer ${here.token}" --data-binary @cat.jpg \\
      "${here.url}/api/tasks?model=ssd-mobilenet-v1&wait=1"

    mosquitto_sub -h ${host} -p ${port} -u ${requester.id} -P PASSWORD -t 'bramble/1/r/${requester.id}/out/#' &
    mosquitto_pub -h ${host} -p ${port} -u ${requester.id} -P PASSWORD -q 1 \\
      -t bramble/1/r/${requester.id}/in/ssd-mobilenet-v1/my-first-task -f cat.jpg

  Ctrl-C stops it; started again on ${data} it goes on where it stopped.
`
}
