// RPC GetCapturedMail: one captured mail with its bytes.
import type { GetCapturedMailRequest, GetCapturedMailResponse } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import type { PrismaClient } from '../../gen/prisma/client.ts';
import { callingTenant } from '../calling-tenant.ts';
import { capturedMailView } from '../captured-mail-view.ts';
import { errors } from '../errors.ts';
import { getCapturedMail as getFromStore } from '../store/captured-mail.ts';

export function getCapturedMail(parts: { prisma: PrismaClient }) {
  return async (request: GetCapturedMailRequest, call: RpcCall): Promise<GetCapturedMailResponse> => {
    const tenantId = callingTenant(call);
    const id = idToUuid('cap', request.id);
    const mail = id === undefined ? undefined : await getFromStore(parts.prisma, tenantId, id);
    if (mail === undefined) throw errors.NOT_FOUND({ message: 'There is no such mail in the inbox.' });
    return { mail: capturedMailView(mail), raw: Buffer.from(mail.raw.buffer, mail.raw.byteOffset, mail.raw.byteLength) };
  };
}
