// Which answer feeds which operation: OpenAPI links. Tools follow them to make whole walks (send → read → cancel) out of single operations,
// and readers see what an id is good for.

/** What `links` holds under one name. */
export interface OpenapiLink {
  operationId: string;
  parameters: Record<string, string>;
  description: string;
}

/** A value in answers, as `operation status pointer`, and the operations that take it. */
interface Flow {
  readonly of: string;
  readonly parameter: `${'path' | 'query'}.${string}`;
  readonly from: readonly `${string} ${number} /${string}`[];
  readonly to: readonly string[];
}

const flows: readonly Flow[] = [
  {
    of: 'message',
    parameter: 'path.id',
    from: ['sendMessages 202 /id', 'sendMessages 202 /data/0/id', 'sendTemplate 202 /id', 'resendMessage 202 /id'],
    to: ['getMessage', 'getMessageTimeline', 'getMessageContent', 'cancelMessage', 'rescheduleMessage', 'resendMessage'],
  },
  { of: 'message', parameter: 'query.message_id', from: ['sendMessages 202 /id', 'getMessage 200 /id'], to: ['listCapturedMail'] },
  { of: 'batch', parameter: 'query.batch_id', from: ['getMessage 200 /batch_id'], to: ['listMessages', 'cancelBatch'] },
  {
    of: 'captured mail',
    parameter: 'path.id',
    from: ['listCapturedMail 200 /data/0/id'],
    to: ['getCapturedMail', 'getCapturedMailRaw'],
  },
  {
    of: 'template',
    parameter: 'path.id',
    from: ['createTemplate 201 /id'],
    to: ['getTemplate', 'updateTemplate', 'deleteTemplate', 'sendTemplate', 'previewTemplate', 'listTemplateVersions', 'publishTemplate'],
  },
  { of: 'template', parameter: 'query.template_id', from: ['createTemplate 201 /id'], to: ['listMessages'] },
  {
    of: 'callback',
    parameter: 'path.id',
    from: ['createCallback 201 /id'],
    to: [
      'getCallback',
      'updateCallback',
      'deleteCallback',
      'testCallback',
      'rotateCallbackSecret',
      'listCallbackAttempts',
      'replayCallback',
    ],
  },
  {
    of: 'domain',
    parameter: 'path.domain',
    from: ['createDomain 201 /domain'],
    to: ['getDomain', 'verifyDomain', 'rotateDkim', 'deleteDomain'],
  },
  { of: 'SMTP user', parameter: 'path.id', from: ['createSmtpUser 201 /id'], to: ['resetSmtpPassword', 'deleteSmtpUser'] },
  { of: 'key', parameter: 'path.id', from: ['createApiKey 201 /id'], to: ['revokeApiKey'] },
  {
    of: 'suppression',
    parameter: 'path.email',
    from: ['createSuppression 201 /email'],
    to: ['deleteSuppression'],
  },
  { of: 'suppression', parameter: 'query.email', from: ['createSuppression 201 /email'], to: ['listSuppressions'] },
  { of: 'member', parameter: 'path.id', from: ['inviteMember 201 /id'], to: ['removeMember'] },
  { of: 'session', parameter: 'path.id', from: ['listSessions 200 /data/0/id'], to: ['endSession'] },
];

/** The links of one answer; undefined where it feeds nothing. */
export function linksOf(operationId: string, status: number): Record<string, OpenapiLink> | undefined {
  const links: Record<string, OpenapiLink> = {};
  for (const { of, parameter, from, to } of flows) {
    for (const source of from) {
      const [producer, answer, pointer = ''] = source.split(' ');
      if (producer !== operationId || Number(answer) !== status) continue;
      const first = pointer.startsWith('/data/0/');
      for (const target of to) {
        links[`${target}${first ? 'OfFirst' : ''}`] = {
          operationId: target,
          parameters: { [parameter]: `$response.body#${pointer}` },
          description: first ? `For the first ${of} of the list.` : `For this ${of}.`,
        };
      }
    }
  }
  return Object.keys(links).length === 0 ? undefined : links;
}
