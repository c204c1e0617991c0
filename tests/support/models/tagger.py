"""A recurrent tagger: cell chosen by `match`, layers, direction, characters or not."""

import torch
from torch import nn


class LSTMTagger(nn.Module):
    def __init__(
        self, vocab_size=50, tagset_size=5, embedding_dim=16
    ):  # search: embedding_dim in {8, 16, 32}
        super().__init__()
        hidden = 16  # search: 8..32 step 8
        layers = 1  # search: 1..2
        bidirectional = True  # search: {True, False}
        kind = "lstm"  # search: {"lstm", "gru", "rnn", "conv"}
        self.kind = kind
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        directions = 2 if bidirectional else 1
        match kind:
            case "lstm":
                self.encoder = nn.LSTM(
                    embedding_dim, hidden, layers, batch_first=True, bidirectional=bidirectional
                )
            case "gru":
                self.encoder = nn.GRU(
                    embedding_dim, hidden, layers, batch_first=True, bidirectional=bidirectional
                )
            case "rnn":
                nonlinearity = "tanh"  # search: {"tanh", "relu"}
                self.encoder = nn.RNN(
                    embedding_dim,
                    hidden,
                    layers,
                    nonlinearity=nonlinearity,
                    batch_first=True,
                    bidirectional=bidirectional,
                )
            case _:
                kernel = 3  # search: {3, 5}
                self.encoder = nn.Conv1d(embedding_dim, hidden * directions, kernel, padding=kernel // 2)
        out = hidden * directions
        if layers > 1:
            self.dropout = nn.Dropout(0.1)  # search: 0.0..0.5
        else:
            self.dropout = None
        self.hidden2tag = nn.Linear(out, tagset_size)

    def forward(self, sentence):
        embeds = self.word_embeddings(sentence)
        if self.kind == "conv":
            out = self.encoder(embeds.transpose(1, 2)).transpose(1, 2)
        else:
            out, _ = self.encoder(embeds)
        if self.dropout is not None:
            out = self.dropout(out)
        return torch.log_softmax(self.hidden2tag(out), dim=-1)
